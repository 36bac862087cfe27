"""Calls to others on the network, which the console makes for who looks whether they are there."""

from console.reach.probe import Probe, probe, where

__all__ = ["Probe", "probe", "where"]
