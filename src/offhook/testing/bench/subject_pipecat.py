"""The peer of `carriers`, where pipecat is installed: its FastAPI transport and its serializer for Twilio.

A pipeline of three: what comes in, somebody who speaks all the time, what goes out. Nothing is signed, nobody listens
and no gate runs, so it is the least that a call over pipecat costs.
"""
# pyright: basic, reportMissingImports=false, reportUntypedBaseClass=false, reportMissingParameterType=false

from __future__ import annotations

import asyncio
import random
import sys

import uvicorn
from fastapi import FastAPI, Response, WebSocket
from loguru import logger
from pipecat.frames.frames import EndFrame, InputAudioRawFrame, StartFrame, TTSAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

from offhook.testing.bench.machine import tell
from offhook.testing.bench.subject_media import PIECE_MS, speech

CLIP = speech(random.Random(1), 8)
PIECE = 16 * PIECE_MS


class Speaker(FrameProcessor):
    """Takes what was heard, and speaks without a pause, in pieces as a voice hands them on."""

    _speaking: asyncio.Task[None] | None = None

    async def process_frame(self, frame, direction: FrameDirection) -> None:
        """Begin to speak at the start, stop at the end, and let all but audio through."""
        await super().process_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self._speaking = asyncio.create_task(self._speak())
        if isinstance(frame, EndFrame) and self._speaking is not None:
            self._speaking.cancel()
        if not isinstance(frame, InputAudioRawFrame):
            await self.push_frame(frame, direction)

    async def _speak(self) -> None:
        loop, place = asyncio.get_running_loop(), 0
        due = loop.time()
        while True:
            piece = CLIP[place : place + PIECE]
            place = (place + PIECE) % len(CLIP)
            await self.push_frame(TTSAudioRawFrame(piece, 8000, 1))
            due += PIECE_MS / 1000
            await asyncio.sleep(max(0.0, due - loop.time()))


def application(port: int) -> FastAPI:
    """Give the server: a webhook that names the socket, and the socket."""
    app = FastAPI()

    @app.post("/services/twilio/voice")
    async def voice() -> Response:  # pyright: ignore[reportUnusedFunction]
        document = f'<Response><Connect><Stream url="ws://127.0.0.1:{port}/media"/></Connect></Response>'
        return Response(document, media_type="text/xml")

    @app.websocket("/media")
    async def media(socket: WebSocket) -> None:  # pyright: ignore[reportUnusedFunction]
        await socket.accept()
        await socket.receive_json()
        start = await socket.receive_json()
        params = TwilioFrameSerializer.InputParams(auto_hang_up=False)
        transport = FastAPIWebsocketTransport(
            websocket=socket,
            params=FastAPIWebsocketParams(
                audio_in_enabled=True,
                audio_out_enabled=True,
                serializer=TwilioFrameSerializer(start["streamSid"], params=params),
            ),
        )
        worker = PipelineWorker(
            Pipeline([transport.input(), Speaker(), transport.output()]),
            params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
            enable_rtvi=False,
            enable_turn_tracking=False,
            idle_timeout_secs=None,
        )
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        await runner.run()

    return app


async def serve(port: int) -> None:
    """Take calls until stdin is closed."""
    logger.remove()
    server = uvicorn.Server(uvicorn.Config(application(port), port=port, log_level="critical"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.02)
    tell(port=port)
    await asyncio.to_thread(sys.stdin.read)
    server.should_exit = server.force_exit = True
    await serving


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
