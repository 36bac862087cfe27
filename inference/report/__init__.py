"""A Reading becomes the DICOM objects that go back to the PACS. The door is `build`."""
