"""Reports as FHIR R4 resources, by REST."""
