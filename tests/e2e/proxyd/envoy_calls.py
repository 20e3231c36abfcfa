"""What tests ask an agent's Envoy, and through it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from meshlet import Agent
from meshlet_net import fetch


async def admin(agent: Agent, path: str) -> Any:
    status, text = await fetch(f"http://{agent.ip}:15000{path}")
    return json.loads(text) if status == 200 else {}


async def ask_until(agent: Agent, done: asyncio.Event) -> list[tuple[int, str]]:
    """One request after the other."""
    answers = []
    while not done.is_set():
        answers.append(await fetch(f"http://{agent.ip}:28080/"))
    return answers
