"""Invariants that hold at every step of every call, each in a class of its own.

      wire ──────► left, arrived      ┐
      engines ───► verb, event        ├─► Checker ─► Violation(when, which law, what happened)
      hosts ─────► told               │
      the end ───► finish             ┘

A checker reads what a bystander can read and keeps its own books; it never asks the code under test if all is well.
Each law is shown to be kept watch over by a fault that breaks it (`offhook.testing.faults`).
"""

from __future__ import annotations

from offhook.testing.checkers.base import Checker, Violation, Watch
from offhook.testing.checkers.calls import EndsOnce, NothingLeft, NothingRaised
from offhook.testing.checkers.early import NobodyHeardEarly
from offhook.testing.checkers.echoes import NotItself
from offhook.testing.checkers.media import Bounded, Cadence, EachKeyOnce, GivesTheFloor, Hushed, NothingTaped, PlayedOut
from offhook.testing.checkers.reports import ReportsTrue
from offhook.testing.checkers.sessions import OneView
from offhook.testing.checkers.signalling import CountsUp, OneFinalResponse, TryingAtOnce
from offhook.testing.checkers.words import HistoryIsHeard

ALL: tuple[type[Checker], ...] = (
    OneFinalResponse,
    TryingAtOnce,
    CountsUp,
    OneView,
    Cadence,
    PlayedOut,
    Hushed,
    GivesTheFloor,
    NotItself,
    EachKeyOnce,
    ReportsTrue,
    NothingTaped,
    NobodyHeardEarly,
    Bounded,
    EndsOnce,
    NothingLeft,
    NothingRaised,
    HistoryIsHeard,
)
"""Every checker that the simulator runs."""

__all__ = ["ALL", "Checker", "Violation", "Watch"]
