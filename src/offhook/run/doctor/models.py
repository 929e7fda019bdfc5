"""The models: the local ones loaded and timed, the others asked whether they know what is configured."""

from __future__ import annotations

from typing import Any

from offhook.core.errors import ModelError, OffhookError
from offhook.run import config as configuration
from offhook.run.doctor.finding import Finding


async def examine_models(names: configuration.Models) -> list[Finding]:
    """Load and time the local models, and ask the others whether they know what is configured."""
    from offhook.providers import local

    key = names.key.get_secret_value() if names.key is not None else None
    chosen = {"llm": names.llm, "stt": names.stt, "tts": names.tts}
    findings: list[Finding] = []
    if "local" in chosen.values():
        try:
            async with await local.load() as models:
                findings.append(Finding("local models", "good", models.warmup.describe()))
        except ModelError as error:
            fix = "pip install 'offhook[local]', or name other models under [models]"
            findings.append(Finding("local models", "fault", str(error), fix))
    for role, name in chosen.items():
        if name == "local":
            continue
        fix = f"correct models.{role} (and models.key); it can be {', '.join(_known(role))}"
        try:
            await _ask(role, name, key)
        except OffhookError as error:
            findings.append(Finding(role, "fault", str(error), fix))
        else:
            findings.append(Finding(role, "good", name))
    return findings


async def _ask(role: str, name: str, key: str | None) -> None:
    """Make the provider of a role and check it. Raises what is wrong."""
    from offhook.providers import registry
    from offhook.providers.openai import check_chat_model

    if role == "llm":
        model: Any = registry.llm(name, key)
        if model.system == "openai":
            try:
                await check_chat_model(model)
            finally:
                await model.client.close()
        return
    provider = registry.stt(name, key) if role == "stt" else registry.tts(name, key)
    try:
        await provider.check()
    finally:
        await provider.close()


def _known(role: str) -> tuple[str, ...]:
    from offhook.providers import registry

    return {"llm": registry.LLM_NAMES, "stt": registry.STT_NAMES, "tts": registry.TTS_NAMES}[role]
