"""The machine doors: JSON under ``/api/v1``, FHIR under ``/fhir``, and what operators probe."""

from releve.api.routes import (
    boards,
    briefings,
    centres,
    commands,
    fhir,
    inbox,
    operating,
    readings,
    results,
)

DOORS = (
    operating.router,
    commands.router,
    centres.router,
    boards.router,
    briefings.router,
    inbox.router,
    readings.router,
    results.router,
    fhir.router,
)
"""Routers in the order they are asked."""
