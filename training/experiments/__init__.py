"""Every row of the report's tables as an experiment: data files, networks, input, runs."""
