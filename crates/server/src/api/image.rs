//! `/customers/vehicles/{vin}/image`: a drawing of the vehicle by its body and colour (wire §4.9).

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::response::{IntoResponse, Response};
use cardata_contract::error_code::{ErrorBody, ErrorCode};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

use super::auth::Caller;
use super::error::ApiError;
use super::form;
use super::vehicles::{PathVin, own};
use crate::Platform;

/// `GET /customers/vehicles/{vin}/image`.
#[utoipa::path(
    get, path = "/customers/vehicles/{vin}/image", tag = "Vehicles", summary = "A picture of a vehicle",
    responses(
        (status = 200, content_type = "image/png", body = Vec<u8>, description = "The picture"),
        (status = 404, body = ErrorBody, description = "CU-126: there is no picture")
    ),
    security(("token" = [])),
)]
pub(super) async fn read(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    PathVin(vin): PathVin,
) -> Result<Response, ApiError> {
    let build = own(&platform, caller, vin).await?.build;
    let body = Body::parse(&build.body_type).ok_or_else(|| {
        let note = "there is no picture of a vehicle of this body, or its body is not known";
        ApiError::new(ErrorCode::NoImage, note)
    })?;
    let colour = colour(&build.colour_description);
    let drawn = tokio::task::spawn_blocking(move || picture(body, colour)).await;
    let Ok(Some(picture)) = drawn else {
        return Err(ApiError::new(ErrorCode::Internal, "the picture could not be drawn"));
    };
    caller.note_read(&platform, vin, "image");
    let headers =
        [(CONTENT_TYPE, HeaderValue::from_static("image/png")), (ETAG, picture.tag.clone())];
    Ok((headers, picture.png.clone()).into_response())
}

/// Pixels from one side to the other; the height is two fifths of it.
const WIDTH: u32 = 1024;

/// A picture, ready to be sent.
struct Picture {
    png: Bytes,
    tag: HeaderValue,
}

/// The picture of a body in the colour of that number, drawn once. As there are few bodies and colours, all of them may
/// stay: each has some 30 KB.
fn picture(body: Body, colour: usize) -> Option<&'static Picture> {
    static DRAWN: [[OnceLock<Option<Picture>>; COLOURS.len()]; Body::ALL.len()] =
        [const { [const { OnceLock::new() }; COLOURS.len()] }; Body::ALL.len()];
    let place = DRAWN.get(body as usize)?.get(colour)?;
    place
        .get_or_init(|| {
            let png = Bytes::from(draw(&svg(body, COLOURS[colour].1))?);
            Some(Picture { tag: form::tag(&png), png })
        })
        .as_ref()
}

/// `svg` as a PNG; `None` only if the drawing itself were wrong.
fn draw(svg: &str) -> Option<Vec<u8>> {
    let tree = Tree::from_str(svg, &Options::default()).ok()?;
    let mut pixels = Pixmap::new(WIDTH, WIDTH * 2 / 5)?;
    resvg::render(&tree, Transform::identity(), &mut pixels.as_mut());
    pixels.encode_png().ok()
}

/// The shapes that there are drawings of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Saloon,
    Touring,
    Coupe,
    Hatch,
    Suv,
}

impl Body {
    const ALL: [Self; 5] = [Self::Saloon, Self::Touring, Self::Coupe, Self::Hatch, Self::Suv];

    /// By the words that body types have in German and English.
    fn parse(body_type: &str) -> Option<Self> {
        let said = body_type.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
        match () {
            () if has(&["touring", "estate", "kombi"]) => Some(Self::Touring),
            () if has(&["coup"]) => Some(Self::Coupe),
            () if has(&["hatch"]) => Some(Self::Hatch),
            () if has(&["suv", "sav", "sac", "activity"]) => Some(Self::Suv),
            () if has(&["limousine", "saloon", "sedan"]) => Some(Self::Saloon),
            () => None,
        }
    }

    /// How it is drawn: the outline from the front bumper over the roof to the rear wheel's arch, the glass, the pillars
    /// between its panes, and the middle of the rear wheel from the left.
    fn lines(self) -> Lines {
        match self {
            Self::Saloon => Lines {
                outline: "M75 288 C52 280 54 240 66 222 C82 200 170 180 330 166 C400 122 450 98 530 95 \
                          C630 92 690 112 748 152 C820 156 890 162 936 178 C962 196 966 240 955 285",
                glass: "M372 164 C420 130 462 112 524 109 C606 106 664 118 712 152 C600 159 480 163 372 164 Z",
                pillars: &[545, 655],
                rear: 790,
            },
            Self::Touring => Lines {
                outline: "M75 288 C52 280 54 240 66 222 C82 200 170 180 330 166 C400 122 450 98 530 95 \
                          C660 90 800 92 862 112 C908 140 934 160 946 186 C962 206 966 240 955 285",
                glass: "M372 164 C420 130 462 112 524 109 C650 104 790 106 842 120 C866 134 884 146 894 156 \
                        C720 162 540 164 372 164 Z",
                pillars: &[545, 690, 790],
                rear: 790,
            },
            Self::Coupe => Lines {
                outline: "M75 288 C52 282 54 244 66 226 C82 204 170 186 330 170 C402 126 460 104 544 101 \
                          C660 98 770 124 880 164 C910 168 930 174 940 184 C962 200 966 240 955 285",
                glass: "M374 168 C424 134 472 118 540 115 C640 112 726 132 800 160 C660 166 520 168 374 168 Z",
                pillars: &[560],
                rear: 790,
            },
            Self::Hatch => Lines {
                outline: "M85 288 C62 280 66 236 80 216 C98 192 180 176 318 160 C386 114 436 88 516 85 \
                          C640 80 740 84 800 100 C846 130 866 156 876 186 C890 208 892 240 884 285",
                glass: "M358 158 C406 122 448 102 510 99 C620 95 724 98 774 110 C802 128 820 142 828 152 \
                        C670 158 500 160 358 158 Z",
                pillars: &[530, 690],
                rear: 735,
            },
            Self::Suv => Lines {
                outline: "M75 282 C54 272 54 214 68 194 C86 170 190 152 334 140 C394 92 440 66 520 62 \
                          C660 56 800 60 866 80 C912 112 934 140 944 172 C962 196 966 234 955 279",
                glass: "M374 138 C418 100 456 82 520 78 C650 72 790 76 846 90 C874 108 890 124 898 136 \
                        C720 142 540 142 374 138 Z",
                pillars: &[545, 690, 800],
                rear: 790,
            },
        }
    }
}

struct Lines {
    outline: &'static str,
    glass: &'static str,
    pillars: &'static [u16],
    rear: u16,
}

/// The front wheel from the left.
const FRONT: u16 = 235;

/// The drawing of a body in `paint`, 1024 by 410 units, with the vehicle's front on the left.
fn svg(body: Body, paint: &str) -> String {
    let Lines { outline, glass, pillars, rear } = body.lines();
    let (behind, end) = (rear + 75, rear + 130);
    let pillar = |x: &u16| format!("<path d=\"M{x} 50 L{} 200\"/>", x + 12);
    let pillars = pillars.iter().map(pillar).collect::<Vec<_>>().concat();
    let arch = |middle: u16| format!("L{} 288 A75 75 0 0 0 {} 288", middle + 75, middle - 75);
    let (arches, wheels) =
        (format!("{} {}", arch(rear), arch(FRONT)), format!("{}{}", wheel(FRONT), wheel(rear)));
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1024 410">
<defs>
<linearGradient id="light" x1="0" y1="0" x2="0" y2="1">
<stop offset="0" stop-color="#fff" stop-opacity=".45"/><stop offset=".45" stop-color="#fff" stop-opacity="0"/>
<stop offset=".55" stop-color="#000" stop-opacity=".05"/><stop offset="1" stop-color="#000" stop-opacity=".5"/>
</linearGradient>
<linearGradient id="sky" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#5d6b78"/><stop offset="1" stop-color="#1c2329"/></linearGradient>
<radialGradient id="shade"><stop offset=".5" stop-color="#000" stop-opacity=".4"/><stop offset="1" stop-color="#000" stop-opacity="0"/></radialGradient>
<clipPath id="glass"><path d="{glass}"/></clipPath>
</defs>
<ellipse cx="512" cy="350" rx="490" ry="24" fill="url(#shade)"/>
<path d="M160 205 H{behind} V288 h-15 V302 H175 V288 H160 Z" fill="#15181b"/>
<path d="{outline} {arches} Z" fill="{paint}"/>
<path d="{outline} {arches} Z" fill="url(#light)" stroke="#000" stroke-opacity=".35" stroke-width="2"/>
<path d="{glass}" fill="url(#sky)" stroke="#0c0f12" stroke-width="4"/>
<g clip-path="url(#glass)" stroke="#0c0f12" stroke-width="9">{pillars}</g>
<path d="M110 214 C320 190 600 188 {end} 204" fill="none" stroke="#000" stroke-opacity=".25" stroke-width="3"/>
<path d="M318 284 H708" stroke="#000" stroke-opacity=".4" stroke-width="6"/>
<path d="M480 206 h46 M640 205 h46" stroke="#000" stroke-opacity=".45" stroke-width="7" stroke-linecap="round"/>
<path d="M78 226 C92 208 122 204 150 204 C138 222 108 232 78 232 Z" fill="#eef6fb" stroke="#222" stroke-opacity=".4"/>
{wheels}
</svg>"##
    )
}

fn wheel(middle: u16) -> String {
    let spoke =
        |number| format!("<path d=\"M0 -8 L-7 -41 H7 Z\" transform=\"rotate({})\"/>", number * 72);
    let spokes = (0..5).map(spoke).collect::<Vec<_>>().concat();
    format!(
        r##"<g transform="translate({middle} 288)"><circle r="64" fill="#1a1b1d"/><circle r="46" fill="#3a3e42"/>
<circle r="44" fill="none" stroke="#c9ced2" stroke-width="5"/><g fill="#c9ced2">{spokes}</g><circle r="11" fill="#8b9196"/></g>"##
    )
}

/// Words of colours, and their paint. The last is for a colour that is none of them.
const COLOURS: [(&str, &str); 12] = [
    ("black", "#16181b"),
    ("white", "#eef0f0"),
    ("grey", "#666c72"),
    ("gray", "#666c72"),
    ("silver", "#b4babe"),
    ("blue", "#1f4b86"),
    ("red", "#9c1c22"),
    ("green", "#2f5140"),
    ("brown", "#5b4636"),
    ("orange", "#c8622a"),
    ("yellow", "#d9b631"),
    ("", "#8d979f"),
];

/// The number of the colour that `description` names: the last word that is one, as in `BLUE GREY`.
fn colour(description: &str) -> usize {
    let said = description.to_lowercase();
    let named = said
        .split_whitespace()
        .rev()
        .find_map(|word| COLOURS.iter().position(|(name, _)| !name.is_empty() && word == *name));
    named.unwrap_or(COLOURS.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_body_is_drawn_in_each_colour_and_no_two_look_the_same() {
        let mut tags = Vec::new();
        for body in Body::ALL {
            for number in 0..COLOURS.len() {
                let drawn = picture(body, number).unwrap();
                assert!(drawn.png.starts_with(b"\x89PNG\r\n\x1a\n"));
                assert_eq!(drawn.png[16..24], [0, 0, 4, 0, 0, 0, 1, 0x99], "1024 by 409");
                assert!((5_000..200_000).contains(&drawn.png.len()), "{}", drawn.png.len());
                tags.push(drawn.tag.to_str().unwrap());
            }
        }
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), Body::ALL.len() * (COLOURS.len() - 1), "grey has two names");
    }

    #[test]
    fn a_body_and_a_colour_are_known_by_their_words() {
        for (said, body) in [
            ("Limousine", Some(Body::Saloon)),
            ("Touring", Some(Body::Touring)),
            ("Gran Coupé", Some(Body::Coupe)),
            ("COUPE", Some(Body::Coupe)),
            ("Hatch", Some(Body::Hatch)),
            ("Sports Activity Vehicle", Some(Body::Suv)),
            ("Cabrio", None),
            ("", None),
        ] {
            assert_eq!(Body::parse(said), body, "{said}");
        }
        for (said, name) in [
            ("BLACK SAPPHIRE METALLIC", "black"),
            ("ALPINE WHITE", "white"),
            ("Blue Grey", "grey"),
            ("", ""),
            ("REDDISH", ""),
        ] {
            assert_eq!(COLOURS[colour(said)].0, name, "{said}");
        }
    }
}
