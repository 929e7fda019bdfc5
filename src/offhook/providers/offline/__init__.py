"""The brain without a language model: retrieval and slot filling, as a model of Pydantic AI (`offline.model`).

    caller's words ─► language (numbers to digits) ─► values (times, counts, names …)  ─┐
                   └► meaning (which tool, which answer: retrieval)                    ─┴► dialogue ─► text or tool call

`dialogue` decides and is pure: the same history gives the same reply, so that nothing is kept between turns.
"""
