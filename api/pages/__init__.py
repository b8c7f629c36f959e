"""The pages: server-rendered French HTML that does every essential act without JavaScript."""

from releve.api.pages import (
    audit,
    briefing,
    correcting,
    inbox,
    office,
    patient,
    patients,
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
    inbox.router,
    audit.router,
)
"""Routers in the order they are asked."""
