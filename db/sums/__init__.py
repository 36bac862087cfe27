"""The history summed up by the hour, the day and the week, so that no question adds up millions."""
