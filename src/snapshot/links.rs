//! What a page links to: HTML by its tags, style sheets by `url()` and `@import`. Scripts are not read.

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};

/// Links of one page that are looked at.
const LINKS_MAX: usize = 20_000;

/// What a document says of where to go on from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Other pages, relative as they stand.
    pub pages: Vec<String>,
    /// What is needed to show this one.
    pub assets: Vec<String>,
    /// `<base href>`: what they are relative to.
    pub base: Option<String>,
    /// By `<meta name="robots">`: it is not to be kept.
    pub noindex: bool,
    /// And its links to other pages are not to be followed.
    pub nofollow: bool,
}

impl Links {
    /// Of an HTML document.
    pub fn of_html(html: &[u8]) -> Self {
        let mut links = Self::default();
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        let mut in_style = false;
        for token in Tokenizer::new_with_emitter(html, emitter) {
            let Ok(token) = token;
            match token {
                Token::StartTag(tag) => {
                    in_style = tag.name.as_slice() == b"style";
                    links.add(&tag);
                }
                Token::EndTag(_) => in_style = false,
                Token::String(text) if in_style => {
                    links.assets.extend(of_css(&String::from_utf8_lossy(&text)));
                }
                _ => {}
            }
            if links.pages.len() + links.assets.len() >= LINKS_MAX {
                break;
            }
        }
        links
    }

    fn add(&mut self, tag: &StartTag<()>) {
        let value = |name: &str| tag.attributes.get(name.as_bytes()).map(|v| String::from_utf8_lossy(v).into_owned());
        let rel = value("rel").unwrap_or_default().to_ascii_lowercase();
        let is = |word: &str| rel.split_ascii_whitespace().any(|w| w == word);
        self.assets.extend(value("style").iter().flat_map(|style| of_css(style)));
        match tag.name.as_slice() {
            b"a" | b"area" if !is("nofollow") => self.pages.extend(value("href")),
            b"iframe" | b"frame" => self.pages.extend(value("src")),
            b"base" if self.base.is_none() => self.base = value("href"),
            b"link" => {
                const NEEDED: [&str; 8] = [
                    "stylesheet",
                    "icon",
                    "apple-touch-icon",
                    "mask-icon",
                    "preload",
                    "modulepreload",
                    "prefetch",
                    "manifest",
                ];
                if NEEDED.iter().any(|word| is(word)) {
                    self.assets.extend(value("href"));
                    self.assets.extend(value("imagesrcset").iter().flat_map(|set| of_srcset(set)));
                } else if !is("nofollow") && !is("preconnect") && !is("dns-prefetch") {
                    self.pages.extend(value("href"));
                }
            }
            b"img" | b"source" | b"video" | b"audio" | b"track" | b"script" | b"embed" | b"input" => {
                self.assets.extend(value("src"));
                self.assets.extend(value("poster"));
                self.assets.extend(value("srcset").iter().flat_map(|set| of_srcset(set)));
            }
            b"object" => self.assets.extend(value("data")),
            b"image" | b"use" => self.assets.extend(value("href").or_else(|| value("xlink:href"))),
            b"body" | b"table" | b"td" => self.assets.extend(value("background")),
            b"meta" => self.heed(value("name"), value("http-equiv"), value("content").unwrap_or_default()),
            _ => {}
        }
    }

    fn heed(&mut self, name: Option<String>, http_equiv: Option<String>, content: String) {
        if name.is_some_and(|name| name.eq_ignore_ascii_case("robots") || name.eq_ignore_ascii_case("seawall")) {
            let (noindex, nofollow) = robots_words(&content);
            self.noindex |= noindex;
            self.nofollow |= nofollow;
        } else if http_equiv.is_some_and(|name| name.eq_ignore_ascii_case("refresh"))
            && let Some((_, url)) = content.split_once('=')
        {
            self.pages.push(url.trim().trim_matches(['"', '\'']).to_owned());
        }
    }
}

/// Whether robots' words (of a meta element, or of X-Robots-Tag) forbid to keep, and to follow.
pub fn robots_words(words: &str) -> (bool, bool) {
    let says = |wanted: &[&str]| {
        words.split(',').any(|word| {
            let word = word.rsplit(':').next().unwrap_or_default().trim();
            wanted.iter().any(|w| word.eq_ignore_ascii_case(w))
        })
    };
    (says(&["noindex", "noarchive", "none"]), says(&["nofollow", "none"]))
}

/// The URLs of a `srcset`: each up to white space or, without any, to its comma.
fn of_srcset(set: &str) -> Vec<String> {
    let (mut urls, mut rest) = (Vec::new(), set);
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r', ',']);
        if rest.is_empty() || urls.len() >= LINKS_MAX {
            return urls;
        }
        let (url, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        match url.strip_suffix(',') {
            Some(bare) => {
                urls.push(bare.trim_end_matches(',').to_owned());
                rest = after;
            }
            None => {
                urls.push(url.to_owned());
                rest = after.split_once(',').map_or("", |(_, next)| next);
            }
        }
    }
}

/// The URLs of a style sheet: `url(…)`, and `@import "…"`.
pub fn of_css(css: &str) -> Vec<String> {
    let css = without_comments(css);
    let mut urls = Vec::new();
    let lower = css.to_ascii_lowercase();
    for (at, _) in lower.match_indices("url(") {
        let inside = css.get(at + 4..).unwrap_or_default().trim_start();
        urls.extend(quoted(inside).or_else(|| inside.split_once(')').map(|(url, _)| url.trim().to_owned())));
    }
    for (at, found) in lower.match_indices("@import") {
        urls.extend(quoted(css.get(at + found.len()..).unwrap_or_default().trim_start()));
    }
    urls.retain(|url| !url.is_empty() && !url.starts_with("data:") && !url.starts_with('#'));
    urls.truncate(LINKS_MAX);
    urls
}

fn quoted(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (inside, _) = text.get(1..)?.split_once(quote)?;
    Some(inside.trim().to_owned())
}

fn without_comments(css: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(css.len()), css);
    while let Some((before, comment)) = rest.split_once("/*") {
        out.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_where_html_has_them() {
        let html = br##"<!doctype html><html><head><base href="/base/"><title>a <a href=no></title>
            <link rel=stylesheet href=a.css><link rel="next" href="2.html"><link rel=preconnect href=//cdn>
            <style>@import "b.css"; body { background: url( 'c.png' ) } /* url(no.png) */</style>
            <script src="d.js">document.write('<a href="no">')</script></head><body background=e.gif>
            <!-- <a href=no> --><A HREF="x.html?a=1&amp;b=2#top">x</A><a rel="nofollow noopener" href=no>n</a>
            <img src=f.png srcset="g.png 1x, h,i.png 2x,j.png"><video poster=k.jpg><source src=l.webm></video>
            <p style="background:url(m.png)"><area href=y.html><iframe src=z.html></iframe>
            <meta http-equiv=refresh content="0; url=w.html">"##;
        let links = Links::of_html(html);
        assert_eq!(links.base.as_deref(), Some("/base/"));
        assert_eq!(links.pages, ["2.html", "x.html?a=1&b=2#top", "y.html", "z.html", "w.html"]);
        assert_eq!(
            links.assets,
            [
                "a.css", "c.png", "b.css", "d.js", "e.gif", "f.png", "g.png", "h,i.png", "j.png", "k.jpg", "l.webm",
                "m.png"
            ]
        );
        assert!(!links.noindex && !links.nofollow);
    }

    #[test]
    fn what_a_page_says_to_robots_is_heard() {
        let says = |content: &str| {
            let links = Links::of_html(format!("<meta name=Robots content='{content}'>").as_bytes());
            (links.noindex, links.nofollow)
        };
        assert_eq!(says("index, follow"), (false, false));
        assert_eq!(says("NOINDEX,nofollow"), (true, true));
        assert_eq!(says("none"), (true, true));
        assert_eq!(robots_words("otherbot: noarchive"), (true, false));
    }

    #[test]
    fn a_style_sheet_that_is_cut_or_odd_is_read_as_far_as_it_goes() {
        assert_eq!(of_css("a{b:URL(x.png)} c{d:url(\"y.png\")} e{f:url("), ["x.png", "y.png"]);
        assert_eq!(of_css("@import url(z.css); @import 'w.css' screen; /* cut"), ["z.css", "w.css"]);
        assert_eq!(of_css("a{b:url(data:image/png;base64,AA)} c{d:url(#id)}"), Vec::<String>::new());
        assert_eq!(of_css("\u{0130}url(\u{0130}.png)"), ["\u{0130}.png"], "letters that grow in lower case");
    }
}
