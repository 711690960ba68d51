"""How long a client may say nothing."""

from __future__ import annotations

import pytest

from harness.dev import Dev
from harness.login import log_in
from harness.metrics import total
from harness.silence import Silence
from harness.stream5 import Subscriber5


@pytest.mark.looked_at_last("silence")
def test_the_profile_bmw_ends_a_connection_after_a_silent_minute(silence: Silence) -> None:
    silence.wait()
    assert silence.seconds is not None, "it is still open"
    assert 59 <= silence.seconds <= 65
    # MQTT 3.1.1 has no words for it.
    assert silence.last_words == b""
    assert silence.pinging_stayed, "whoever pings stays"
    assert total(silence.dev, "cardata_mqtt_closed_total", reason="idle") == 1


def test_mqtt_5_is_told_of_the_longest_silence_and_session(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    with Subscriber5(dev, tokens, keep_alive=0xFFFF, expiry=0xFFFF_FFFF) as endless:
        assert endless.connect() == (0, False)
        told = endless.connack_properties[0]
        assert (told["ServerKeepAlive"], told["SessionExpiryInterval"]) == (1200, 30 * 24 * 3600)
    with Subscriber5(dev, tokens, keep_alive=60, expiry=600) as modest:
        assert modest.connect() == (0, False)
        told = modest.connack_properties[0]
        assert "ServerKeepAlive" not in told and "SessionExpiryInterval" not in told
