"""The Lambda functions of an agent: what `template.json` deploys. Put your own agent in the receptionist's place."""

from __future__ import annotations

import os

from offhook.amazon import Functions
from offhook.examples.receptionist import agent
from offhook.providers.registry import llm

model = llm(os.environ["OFFHOOK_LLM"], os.environ.get("OFFHOOK_LLM_KEY") or None)
functions = Functions(agent, llm=model, allow=os.environ.get("OFFHOOK_ALLOW", "").split())

connect_lambda = functions.connect_lambda
lex = functions.lex
sma = functions.sma
