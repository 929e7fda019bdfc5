"""A phone over pjsua2, in a process of its own: answers every call, plays a file into it, records it, obeys orders.

    python pjsua_phone.py '{"transport": "udp", "port": 21000, …}'      orders and events as in `program`

Calls have numbers; `heard-NUMBER.wav` in its folder is what came in call NUMBER. It plays the same file over and over.
"""

# The bindings have no types.
# pyright: basic, reportGeneralTypeIssues=false, reportCallIssue=false, reportUntypedBaseClass=false
# pyright: reportOptionalMemberAccess=false, reportAttributeAccessIssue=false
import json
import os
import sys
import threading
from pathlib import Path
from queue import Empty, SimpleQueue

import pjsua2 as pj

wish = json.loads(sys.argv[1])
folder = Path(wish["folder"])
out = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # what the library prints is no event


def tell(event, **details):
    out.write(json.dumps({"event": event, **details}) + "\n")


class Phone:
    """The endpoint, its account and its calls."""

    def __init__(self):
        self.endpoint = endpoint()
        self.account = None
        self.calls = {}
        self.count = 0
        self.player = None

    def add(self, call):
        self.count += 1
        call.number = self.count
        self.calls[call.number] = call
        return call

    def obey(self, order):
        call = self.calls.get(order.get("call", self.count))
        plain = pj.CallOpParam(True)
        match order["do"]:
            case "dial":
                call = self.add(Talk(self))
                call.makeCall(order["to"], plain)
                return call.number
            case "hold":
                call.setHold(pj.CallOpParam())
            case "resume":
                plain.opt.flag = pj.PJSUA_CALL_UNHOLD
                call.reinvite(plain)
            case "reinvite":
                call.reinvite(plain)
            case "update":
                call.update(plain)
            case "press":
                for key in order["keys"]:
                    call.dialDtmf(key)
            case "blind":
                call.xfer(order["to"], pj.CallOpParam())
            case "attended":
                call.xferReplaces(self.calls[order["other"]], pj.CallOpParam())
            case "hangup-all":
                self.endpoint.hangupAllCalls()
            case other:
                raise ValueError(other)
        return None


class Account(pj.Account):
    """Answers what comes."""

    def __init__(self, phone):
        super().__init__()
        self.phone = phone

    def onIncomingCall(self, prm):
        call = self.phone.add(Talk(self.phone, prm.callId))
        info = call.getInfo()
        tell("incoming", call=call.number, caller=info.remoteUri, called=info.localUri)
        answer = pj.CallOpParam()
        answer.statusCode = 200
        call.answer(answer)

    def onRegState(self, prm):
        tell("registered", code=prm.code, active=self.getInfo().regIsActive)


class Talk(pj.Call):
    """One call: what it hears goes into one file, whatever becomes of its media."""

    number = 0

    def __init__(self, phone, number=pj.PJSUA_INVALID_ID):
        super().__init__(phone.account, number)
        self.phone = phone
        self.recorder = None
        self.attended = None

    def onCallState(self, prm):
        info = self.getInfo()
        tell("state", call=self.number, state=info.stateText, code=info.lastStatusCode)

    def onCallMediaState(self, prm):
        info = self.getInfo()  # held: its list of media is no copy
        audio = [media for media in info.media if media.type == pj.PJMEDIA_TYPE_AUDIO]
        active = any(media.status == pj.PJSUA_CALL_MEDIA_ACTIVE for media in audio)
        if active:
            stream = self.getAudioMedia(-1)
            if self.recorder is None:
                self.recorder = pj.AudioMediaRecorder()
                self.recorder.createRecorder(str(folder / f"heard-{self.number}.wav"))
            stream.startTransmit(self.recorder)
            self.phone.player.startTransmit(stream)
        tell("media", call=self.number, active=active, status=[media.status for media in audio])

    def onDtmfDigit(self, prm):
        tell("digit", call=self.number, digit=prm.digit)

    def onCallTransferRequest(self, prm):
        # The call that it asks for is ours to hold: without, the bindings lose it.
        prm.newCall = self.attended = self.phone.add(Talk(self.phone))
        tell("transferred", call=self.number, to=prm.dstUri, by=self.attended.number)

    def onCallTransferStatus(self, prm):
        tell("transfer", call=self.number, code=prm.statusCode, final=prm.finalNotify)

    def onCallReplaceRequest(self, prm):
        prm.newCall = self.attended = self.phone.add(Talk(self.phone))

    def onCallReplaced(self, prm):
        tell("replaced", call=self.number)


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


def endpoint():
    """Make the library with its transports."""
    made = pj.Endpoint()
    made.libCreate()
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.logConfig.level = 4
    config.logConfig.consoleLevel = 0
    config.logConfig.filename = str(folder / "pjsua.log")
    config.medConfig.clockRate = config.medConfig.sndClockRate = 8000
    config.medConfig.noVad = True
    config.medConfig.ecTailLen = 0
    deepen_buffer(config)
    made.libInit(config)
    kinds = {"udp": pj.PJSIP_TRANSPORT_UDP, "tcp": pj.PJSIP_TRANSPORT_TCP, "tls": pj.PJSIP_TRANSPORT_TLS}
    transport = pj.TransportConfig()
    transport.port = wish["port"] + (wish["transport"] == "tls")
    transport.boundAddress = wish["host"]
    transport.tlsConfig.CaListFile = wish["authority"]
    transport.tlsConfig.certFile = wish["certificate"]
    transport.tlsConfig.privKeyFile = wish["key"]
    transport.tlsConfig.verifyServer = True
    made.transportCreate(kinds[wish["transport"]], transport)
    made.libStart()
    made.audDevManager().setNullDev()
    for codec in made.codecEnum2():
        name = codec.codecId.split("/")[0]
        rank = wish["codecs"].index(name) if name in wish["codecs"] else None
        made.codecSetPriority(codec.codecId, 0 if rank is None else 255 - rank)
    return made


def account(phone):
    config = pj.AccountConfig()
    config.idUri = wish["identity"]
    media = config.mediaConfig.transportConfig
    media.port, media.portRange, media.boundAddress = wish["rtp_port"], 40, "127.0.0.1"
    config.mediaConfig.srtpUse = {
        "disabled": pj.PJMEDIA_SRTP_DISABLED,
        "optional": pj.PJMEDIA_SRTP_OPTIONAL,
        "mandatory": pj.PJMEDIA_SRTP_MANDATORY,
    }[wish.get("srtp", "disabled")]
    config.callConfig.timerMinSESec = 90
    config.callConfig.timerSessExpiresSec = wish["expires_s"] or 1800
    if wish["expires_s"]:
        config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_ALWAYS
    if wish.get("registrar"):
        config.regConfig.registrarUri = wish["registrar"]
        config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", wish["user"], 0, wish["password"]))
    if wish.get("proxy"):
        config.sipConfig.proxies.append(wish["proxy"])
    made = Account(phone)
    made.create(config)
    return made


def main():
    phone = Phone()
    phone.account = account(phone)
    phone.player = pj.AudioMediaPlayer()
    phone.player.createPlayer(wish["play"], 0)
    orders = SimpleQueue()

    def read():
        for line in sys.stdin:
            orders.put(json.loads(line))
        orders.put(None)

    threading.Thread(target=read, daemon=True).start()
    tell("ready")
    while True:
        phone.endpoint.libHandleEvents(10)
        try:
            order = orders.get_nowait()
        except Empty:
            continue
        if order is None:
            break
        try:
            result, error = phone.obey(order), ""
        except (pj.Error, ValueError, KeyError, AttributeError) as failed:
            result, error = None, f"{type(failed).__name__}: {getattr(failed, 'reason', failed)}"
        tell("done", order=order["order"], result=result, error=error)
    os._exit(0)  # its own end waits for calls and transactions, and its objects in an order that Python does not keep


main()
