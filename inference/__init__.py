"""A DICOM file becomes a Reading, and a Reading becomes the objects that go back to the PACS."""
