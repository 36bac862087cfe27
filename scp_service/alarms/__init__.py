"""Alarms: what is wrong with the service, noticed by the clock and told to whom it concerns."""
