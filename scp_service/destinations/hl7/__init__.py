"""HL7 v2 over MLLP: the report as an ORU^R01 message, sent until it is acknowledged."""
