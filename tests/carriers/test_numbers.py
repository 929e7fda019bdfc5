"""Numbers: however a carrier writes one, it is one; and each trunk gets them as it wants them."""

from __future__ import annotations

import pytest

from offhook.carriers.numbers import canonical, is_emergency, written


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("+1 (212) 555-0123", ""),
        ("+12125550123", "DE"),
        ("12125550123", ""),
        ("12125550123", "DE"),
        ("2125550123", "US"),
        ("(212) 555-0123", "US"),
        ("0012125550123", "DE"),
        ("01112125550123", "US"),
        ("tel:+1-212-555-0123", "US"),
    ],
)
def test_a_number_is_one_number_however_it_is_written(text, country):
    assert canonical(text, country) == "+12125550123"


@pytest.mark.parametrize("text", ["030 123456", "004930123456", "4930123456", "+49 30 123456", "030/123456"])
def test_a_national_number_is_read_by_the_country_of_its_trunk(text):
    assert canonical(text, "DE") == "+4930123456"


@pytest.mark.parametrize(
    "text", ["100", "112", "2001", "desk", "offhook", "anonymous", "", "*72", "+", "12x", "9" * 60, "+999", "٣٤٥٦٧٨٩"]
)
def test_what_is_no_number_of_the_public_network_stays_as_it_is(text):
    assert canonical(text, "DE") == text


@pytest.mark.parametrize(
    ("number", "form", "country", "text"),
    [
        ("+4930123456", "e164", "DE", "+4930123456"),
        ("+4930123456", "plain", "DE", "4930123456"),
        ("+4930123456", "national", "DE", "030123456"),
        ("+4930123456", "national", "US", "0114930123456"),
        ("+4930123456", "international", "FR", "004930123456"),
        ("+12125550123", "national", "US", "2125550123"),
        ("100", "national", "DE", "100"),
    ],
)
def test_each_trunk_gets_numbers_as_it_wants_them(number, form, country, text):
    assert written(number, form, country) == text


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("112", "DE"),
        ("911", "US"),
        ("110", "DE"),
        ("999", "GB"),
        ("000", "AU"),
        ("112", ""),
        ("911", "DE"),
        ("+112", "FR"),
    ],
)
def test_emergency_numbers_are_known_by_country(number, country):
    assert is_emergency(number, country)


@pytest.mark.parametrize(("number", "country"), [("110", "US"), ("+19115550123", "US"), ("100", "DE"), ("999", "US")])
def test_others_are_none(number, country):
    assert not is_emergency(number, country)
