"""The history at a million studies: a database as the service would have left it, and its pages."""
