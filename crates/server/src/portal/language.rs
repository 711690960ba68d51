//! In which language a person reads, and how long ago something was in it.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;
use cardata_domain::Value;
use jiff::{SignedDuration, Timestamp};

use super::login;
use super::text::{self, Text};

/// A language that the portal speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    German,
}

/// The cookie with the language that was chosen; it is no secret.
pub(super) const COOKIE_NAME: &str = "cardata-language";

impl Language {
    /// The tag in pages, paths and the cookie (BCP 47).
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    pub(super) fn parse(tag: &str) -> Option<Self> {
        [Self::English, Self::German].into_iter().find(|language| language.tag() == tag)
    }

    /// The language that was chosen in this browser, else the first that the browser asks for and the portal has.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let chosen = login::cookie(headers, COOKIE_NAME).and_then(|tag| Self::parse(&tag));
        let asked = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        chosen.or_else(|| first_known(asked?)).unwrap_or(Self::English)
    }

    /// All texts in it.
    pub(super) fn text(self) -> &'static Text {
        match self {
            Self::English => &text::ENGLISH,
            Self::German => &text::GERMAN,
        }
    }

    /// A value in the way that people write it: numbers with their marks, and yes and no.
    pub(super) fn value(self, value: &Value) -> String {
        let digits = match value {
            Value::Number(digits) => digits,
            Value::Text(text) => return text.to_string(),
            Value::Boolean(true) => return self.text().yes.to_owned(),
            Value::Boolean(false) => return self.text().no.to_owned(),
        };
        if digits.contains(['e', 'E']) {
            return digits.to_string();
        }
        let (thousands, decimal) = match self {
            Self::English => (',', '.'),
            Self::German => ('.', ','),
        };
        let (sign, digits) = digits.strip_prefix('-').map_or(("", &**digits), |rest| ("-", rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let mut shown = sign.to_owned();
        for (index, digit) in whole.chars().enumerate() {
            // A number of four digits, such as a year, is read well without.
            if index > 0 && whole.len() > 4 && (whole.len() - index).is_multiple_of(3) {
                shown.push(thousands);
            }
            shown.push(digit);
        }
        if !fraction.is_empty() {
            shown.push(decimal);
            shown.push_str(fraction);
        }
        shown
    }

    /// How long ago `at` was, as of `now`, in a few words.
    pub(super) fn ago(self, at: Timestamp, now: Timestamp) -> String {
        let seconds = now.duration_since(at).max(SignedDuration::ZERO).as_secs();
        let (count, one, many) = match (seconds, self) {
            (0..=9, Self::English) => return "just now".to_owned(),
            (0..=9, Self::German) => return "gerade eben".to_owned(),
            (10..=119, Self::English) => (seconds, "second ago", "seconds ago"),
            (10..=119, Self::German) => (seconds, "Sekunde", "Sekunden"),
            (120..=7_199, Self::English) => (seconds / 60, "minute ago", "minutes ago"),
            (120..=7_199, Self::German) => (seconds / 60, "Minute", "Minuten"),
            (7_200..=172_799, Self::English) => (seconds / 3_600, "hour ago", "hours ago"),
            (7_200..=172_799, Self::German) => (seconds / 3_600, "Stunde", "Stunden"),
            (_, Self::English) => (seconds / 86_400, "day ago", "days ago"),
            (_, Self::German) => (seconds / 86_400, "Tag", "Tagen"),
        };
        let unit = if count == 1 { one } else { many };
        match self {
            Self::English => format!("{count} {unit}"),
            Self::German => format!("vor {count} {unit}"),
        }
    }
}

/// An instant for people: to the minute, in UTC, since the server does not know where they are.
pub(super) fn date_and_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn first_known(accepted: &str) -> Option<Language> {
    accepted.split(',').find_map(|range| {
        let tag = range.split(';').next()?.trim().to_ascii_lowercase();
        Language::parse(tag.split('-').next()?)
    })
}

#[cfg(test)]
mod tests {
    use axum::http::header::COOKIE;

    use super::*;

    #[test]
    fn the_language_that_was_chosen_goes_before_the_one_that_the_browser_asks_for() {
        let of = |asked: &'static str, cookie: &'static str| {
            let headers = [(ACCEPT_LANGUAGE, asked), (COOKIE, cookie)];
            Language::of(
                &headers.map(|(name, value)| (name, value.parse().unwrap())).into_iter().collect(),
            )
        };
        assert_eq!(of("de-AT,de;q=0.9,en;q=0.8", ""), Language::German);
        assert_eq!(of("fr, en;q=0.5", ""), Language::English);
        assert_eq!(of("fr", ""), Language::English);
        assert_eq!(of("de", "a=b; cardata-language=en"), Language::English);
        assert_eq!(of("de", "cardata-language=klingon"), Language::German);
    }

    #[test]
    fn a_value_is_written_as_people_write_it() {
        let number = |digits: &str| Value::Number(digits.into());
        for (value, english, german) in [
            (number("13216.4"), "13,216.4", "13.216,4"),
            (number("1234567"), "1,234,567", "1.234.567"),
            (number("-0.50"), "-0.50", "-0,50"),
            (number("2026"), "2026", "2026"),
            (number("1.5e3"), "1.5e3", "1.5e3"),
            (Value::Boolean(true), "yes", "ja"),
            (Value::Text("1234.5".into()), "1234.5", "1234.5"),
        ] {
            assert_eq!(Language::English.value(&value), english);
            assert_eq!(Language::German.value(&value), german);
        }
    }

    #[test]
    fn an_age_has_the_unit_that_a_person_would_use() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let ago = |language: Language, seconds| {
            language.ago(now - SignedDuration::from_secs(seconds), now)
        };
        assert_eq!(ago(Language::English, 3), "just now");
        assert_eq!(ago(Language::English, -3), "just now");
        assert_eq!(ago(Language::English, 119), "119 seconds ago");
        assert_eq!(ago(Language::German, 120), "vor 2 Minuten");
        assert_eq!(ago(Language::German, 7_200), "vor 2 Stunden");
        assert_eq!(ago(Language::English, 172_800), "2 days ago");
    }
}
