//! The settings of the WhatsApp channel. They can be given whether it is built in or not.

use super::name;
use super::sources::Sources;

/// How WhatsApp is reached, and whether at all.
#[derive(Clone, Debug)]
pub(crate) struct WhatsAppSettings {
    pub mode: WhatsAppMode,
    /// `wss://…`, or `ws://…` close by.
    pub url: String,
    /// The version to be, if not the one that web.whatsapp.com runs.
    pub version: Option<(u32, u32, u32)>,
    pub device_name: String,
}

/// Whether there is a WhatsApp channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhatsAppMode {
    Off,
    /// If a device is linked.
    WhenLinked,
    /// Without a linked device there is no start.
    Required,
}

impl WhatsAppSettings {
    pub(super) fn read(sources: &mut Sources) -> Option<Self> {
        let mode = sources.read("whatsapp", "`when_linked`, `required` or `off`", mode);
        let url = sources.read(
            "whatsapp_url",
            "a URL with wss, or with ws on loopback or to a name without a dot",
            url,
        );
        let version = sources.read_optional(
            "whatsapp_version",
            "three numbers such as `2.3000.1023`",
            version,
        );
        let device_name = sources.read("whatsapp_device_name", "a name without line breaks", name);
        Some(Self {
            mode: mode?,
            url: url?,
            version: version?,
            device_name: device_name?,
        })
    }

    /// Whether it is on this machine, or a neighbour on a private network, as a mock is.
    #[must_use]
    pub(crate) fn is_close_by(&self) -> bool {
        is_close_by(&self.url)
    }
}

fn mode(text: &str) -> Option<WhatsAppMode> {
    match text {
        "off" => Some(WhatsAppMode::Off),
        "when_linked" => Some(WhatsAppMode::WhenLinked),
        "required" => Some(WhatsAppMode::Required),
        _unknown => None,
    }
}

/// What is not encrypted must not leave the machine and its private networks.
fn url(text: &str) -> Option<String> {
    let fits = match (text.strip_prefix("wss://"), text.strip_prefix("ws://")) {
        (Some(rest), _) => !host(rest).is_empty(),
        (None, Some(_)) => is_close_by(text),
        (None, None) => false,
    };
    (fits && !text.contains(char::is_whitespace)).then(|| text.to_owned())
}

/// Whether a URL names this machine itself, or a neighbour by a name of one label, as containers
/// on one network call each other. Nothing on the internet has such a name.
fn is_close_by(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host(rest);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<std::net::IpAddr>();
    match address {
        Ok(address) => address.is_loopback(),
        Err(_a_name) => is_one_label(bare),
    }
}

/// Something with a letter in it: a number alone is another way to write an address.
fn is_one_label(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    name.bytes().all(fits) && name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
}

/// The host of what follows `://`, without user, port and path.
fn host(rest: &str) -> &str {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host_and_port = authority.rsplit('@').next().unwrap_or(authority);
    match host_and_port.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        Some(_) | None => host_and_port,
    }
}

fn version(text: &str) -> Option<(u32, u32, u32)> {
    let numbers: Result<Vec<u32>, _> = text.split('.').map(str::parse).collect();
    match numbers.as_deref() {
        Ok([primary, secondary, tertiary]) => Some((*primary, *secondary, *tertiary)),
        Ok(_) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unencrypted_words_stay_on_the_machine() {
        for good in [
            "wss://web.whatsapp.com/ws/chat",
            "ws://127.0.0.1:9100/ws/chat",
            "ws://localhost/ws",
            "ws://[::1]:9100/ws",
            "ws://mock:9100/ws/chat",
        ] {
            assert!(url(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "wss://",
            "web.whatsapp.com",
            "https://web.whatsapp.com",
            "ws://web.whatsapp.com/ws/chat",
            "ws://127.0.0.1@example.org/ws",
            "ws://localhost.example.org/ws",
            "ws://2130706434/ws",
            "ws://0x08080808/ws",
            "ws://[2001:db8::1]/ws",
            "ws:///ws",
            "wss://a b",
        ] {
            assert!(url(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_version_is_three_numbers() {
        assert_eq!(version("2.3000.1023"), Some((2, 3000, 1023)));
        for bad in ["2.3000", "2.3000.x", "2.3000.1.1", "", "-1.0.0"] {
            assert_eq!(version(bad), None, "{bad}");
        }
    }
}
