"""Requests one by one: an event-driven simulation of iteration-level batching, on the step times of the formulas."""
