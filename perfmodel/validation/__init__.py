"""Measured and published figures against the model: tables of errors, as found."""
