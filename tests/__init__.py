"""Tests of the whole: journeys, faults, security, contracts, independence."""
