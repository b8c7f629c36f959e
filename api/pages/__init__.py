"""The pages: server-rendered French HTML that does every essential act without JavaScript."""

from releve.api.pages import (
    agenda,
    audit,
    briefing,
    correcting,
    inbox,
    office,
    pasting,
    patient,
    patients,
    phoned,
    shell,
    sign_in,
    stint,
    writing,
)

PAGES = (
    shell.router,
    sign_in.router,
    briefing.router,
    stint.router,
    patients.router,
    patient.router,
    writing.router,
    correcting.router,
    office.router,
    phoned.router,
    agenda.router,
    inbox.router,
    pasting.router,
    audit.router,
)
"""Routers in the order they are asked."""
