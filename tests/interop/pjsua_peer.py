"""One call by pjsua2, in a process of its own: plays a file into it, records what comes back, presses keys.

    python pjsua_peer.py '{"to": "sip:…", "transport": "udp", "port": 21000, "rtp_port": 21100, "codecs": ["PCMU"],
                           "play": "in.wav", "record": "out.wav", "talk_s": 4, "keys": "123"}'

Ends with 0 when the call was answered and hung up by us.
"""

# The bindings have no types.
# pyright: basic, reportGeneralTypeIssues=false, reportCallIssue=false, reportUntypedBaseClass=false
import json
import sys
import time

import pjsua2 as pj

wish = json.loads(sys.argv[1])


class Talk(pj.Call):
    """The call: `over` once it is gone, and why."""

    over = False
    code = 0

    def onCallState(self, prm):
        info = self.getInfo()
        self.over = info.state == pj.PJSIP_INV_STATE_DISCONNECTED
        self.code = info.lastStatusCode

    def up(self):
        """Say whether media flows."""
        if self.over:
            return False
        info = self.getInfo()  # held: its list of media is no copy
        return any(
            media.type == pj.PJMEDIA_TYPE_AUDIO and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE for media in info.media
        )


def turn(endpoint, check, patience_s):
    """Let pjsua work until something is so; give whether it came to be."""
    until = time.monotonic() + patience_s
    while not check():
        if time.monotonic() > until:
            return False
        endpoint.libHandleEvents(10)
    return True


def deepen_buffer(config):
    """Let it buffer 240 ms and drop nothing.

    Its own clock is late on a busy machine, and its adaptive buffer then inserts or drops frames of a stream that came
    whole and on time: what is under test is the stream.
    """
    written, changed = pj.JsonDocument(), pj.JsonDocument()
    written.writeObject(config)
    settings = json.loads(written.saveString())
    none = 0  # PJMEDIA_JB_DISCARD_NONE: the bindings have no type for it, their documents do
    settings["EpConfig"]["MediaConfig"].update(jbInit=240, jbMinPre=240, jbMaxPre=240, jbMax=1000, jbDiscardAlgo=none)
    changed.loadString(json.dumps(settings))
    changed.readObject(config)


def main():
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.logConfig.level = config.logConfig.consoleLevel = wish.get("log", 1)
    config.medConfig.clockRate = config.medConfig.sndClockRate = 8000
    config.medConfig.noVad = True
    config.medConfig.ecTailLen = 0
    deepen_buffer(config)
    endpoint.libInit(config)
    transport = pj.TransportConfig()
    transport.port = wish["port"]
    transport.boundAddress = "127.0.0.1"
    kind = pj.PJSIP_TRANSPORT_TCP if wish["transport"] == "tcp" else pj.PJSIP_TRANSPORT_UDP
    endpoint.transportCreate(kind, transport)
    endpoint.libStart()
    endpoint.audDevManager().setNullDev()
    for codec in endpoint.codecEnum2():
        name = codec.codecId.split("/")[0]
        rank = wish["codecs"].index(name) if name in wish["codecs"] else None
        endpoint.codecSetPriority(codec.codecId, 0 if rank is None else 255 - rank)
    account_config = pj.AccountConfig()
    account_config.idUri = f"sip:pjsua@127.0.0.1:{wish['port']}"
    account_config.mediaConfig.transportConfig.port = wish["rtp_port"]
    account_config.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
    account = pj.Account()
    account.create(account_config)
    problem = converse(endpoint, account)
    account.shutdown()
    endpoint.libDestroy()
    sys.exit(problem)


def converse(endpoint, account):
    """Place the call; give what went wrong, 0 if nothing did."""
    call = Talk(account)
    call.makeCall(wish["to"], pj.CallOpParam(True))
    if not turn(endpoint, lambda: call.up() or call.over, 10) or call.over:
        return f"not answered: {call.code}"
    audio = call.getAudioMedia(0)
    recorder = pj.AudioMediaRecorder()
    recorder.createRecorder(wish["record"])
    player = pj.AudioMediaPlayer()
    player.createPlayer(wish["play"], pj.PJMEDIA_FILE_NO_LOOP)
    audio.startTransmit(recorder)
    player.startTransmit(audio)
    if turn(endpoint, lambda: call.over, wish["talk_s"]):
        return f"hung up early: {call.code}"
    for key in wish.get("keys", ""):
        call.dialDtmf(key)
        turn(endpoint, lambda: call.over, 0.45)
    audio.stopTransmit(recorder)
    call.hangup(pj.CallOpParam())
    return 0 if turn(endpoint, lambda: call.over, 5) else "the hang-up was not answered"


main()
