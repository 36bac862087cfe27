"""The hospital network, both ways: films in, results out."""
