"""Work spread over a Ray cluster: workers that come and go, an archive that is read anew."""
