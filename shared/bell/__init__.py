"""The doorbell: how workers are told that there is work, with Celery and its broker.

A ring carries nothing but a model's name. Losing one costs a reaper tick, doubling one an empty claim. This
is the one room that leans on the insides of other libraries, Celery 5.7 and kombu 5.7, to which
``pyproject.toml`` holds them. What is overridden, why, and which test would tell:

``channel.RingChannel._connparams``
    kombu asks a transport that it has just closed for its host name, and the worker ends.
    ``tests/faults/test_closed_transports.py``
``channel.RingChannel._brpop_read``
    What is no JSON ends the worker. ``tests/faults/test_forged_rings.py``
``channel.RingTransport._deliver``
    What is no ring would be read by Celery, and done. ``tests/faults/test_forged_rings.py``
``channel.RingQoS``
    kombu notes each message so as to restore it, which a full server refuses; that ends the worker.
    ``tests/unit/shared/bell/test_channel.py``, ``tests/faults/test_memory.py``
``consumer.RingConsumer``
    The back-off grows to 30 s and has no setting. ``tests/faults/test_network.py``
``consumer.SlotPool.on_apply``
    A slot that is free is noticed up to a second late. ``tests/faults/test_rings.py``

The first two could go with a kombu that looks at its transport and at what it reads, the last one with a
Celery that wakes its loop when a task ends.
"""
