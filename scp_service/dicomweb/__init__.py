"""Films that come by HTTP as DICOM files: STOW-RS in, and what it shares with fetching."""
