"""Models: one file a vendor or a local model. Each is a `Stt`, `Tts` or `Brain` as in `offhook.call.protocols`.

A provider raises ProviderError (theirs) or ModelError (ours) and nothing else. Failover, deadline and breaker are one
wrapper which is itself a provider.
"""

from offhook.call.protocols import Brain, Pause, Speech, Stt, Thought, ToolBegan, ToolDone, Transcript, Tts

__all__ = ["Brain", "Pause", "Speech", "Stt", "Thought", "ToolBegan", "ToolDone", "Transcript", "Tts"]
