"""The peer of `bench media` that needs pjsua2, in a process of its own (it is GPL): calls, and plays back what comes.

    {"dial": N, "to": "sip:…"} on its standard input → {"up": N}

It has no sound device, no echo canceller, no silence detection and one clock rate: the least that it can do.
"""

# The bindings have no types.
# pyright: basic, reportGeneralTypeIssues=false, reportCallIssue=false, reportUntypedBaseClass=false
# pyright: reportOptionalMemberAccess=false, reportAttributeAccessIssue=false
import json
import os
import sys
import threading

import pjsua2 as pj

out = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # what the library prints is no report


class Echo(pj.Call):
    """One call, bridged to itself."""

    def __init__(self, account, up):
        super().__init__(account)
        self.up = up

    def onCallMediaState(self, prm):
        audio = self.getAudioMedia(-1)
        audio.startTransmit(audio)
        self.up.release()


def endpoint():
    made = pj.Endpoint()
    made.libCreate()
    config = pj.EpConfig()
    config.logConfig.level = config.logConfig.consoleLevel = 0
    config.medConfig.clockRate = config.medConfig.sndClockRate = 8000
    config.medConfig.ecTailLen = 0
    config.medConfig.noVad = True
    made.libInit(config)
    transport = pj.TransportConfig()
    transport.boundAddress = "127.0.0.1"
    made.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
    made.libStart()
    made.audDevManager().setNullDev()
    for codec in made.codecEnum2():
        made.codecSetPriority(codec.codecId, 255 if codec.codecId.startswith("PCMU/") else 0)
    return made


def main():
    library = endpoint()
    config = pj.AccountConfig()
    config.idUri = "sip:echo@127.0.0.1"
    config.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
    account = pj.Account()
    account.create(config)
    up = threading.Semaphore(0)
    calls = []
    out.write('{"ready": true}\n')
    for line in sys.stdin:
        order = json.loads(line)
        for _ in range(order["dial"]):
            calls.append(Echo(account, up))
            calls[-1].makeCall(order["to"], pj.CallOpParam(True))
        for _ in range(order["dial"]):
            up.acquire()
        out.write(json.dumps({"up": len(calls)}) + "\n")
    del library
    os._exit(0)  # nobody answers its goodbyes


main()
