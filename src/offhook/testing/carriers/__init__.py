"""Fakes of managed services, for tests of agents and of ourselves: each speaks its service's own words.

async with FakeTwilio(agent) as phone:
    caller = await phone.call()
    await caller.hears("good evening")
    await caller.says("a table for two")
"""
