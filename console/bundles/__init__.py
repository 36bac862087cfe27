"""Model bundles: which there are, what is in one, which reads. The one part that loads networks."""
