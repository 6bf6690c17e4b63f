use super::*;
use crate::snapshot::manifest::Object;

const TIMES: Times = Times { asked_unix_ms: 900, came_unix_ms: 1000 };

fn address(target: &str) -> Address {
    Address { host: String::new(), target: target.to_owned() }
}

fn course(seeds: &[&str], before: Manifest) -> Course {
    let (site, _) = Site::of(&["/".to_owned()], "shop.example").unwrap();
    let seeds = seeds.iter().map(|seed| address(seed));
    Course::new(site, seeds, 100, Manifest::default(), before, Vec::new())
}

fn head(status: u16, fields: &[(&str, &str)]) -> Head {
    Head { status, fields: fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect() }
}

/// The next URL, answered like this.
fn answer(course: &mut Course, head: &Head, body: &str) -> Step {
    let mut step = Step::begin(course.pop().unwrap());
    course.answered(&mut step, head, body.as_bytes(), TIMES);
    step
}

fn asked(course: &mut Course) -> Vec<String> {
    std::iter::from_fn(|| course.pop()).map(|wanted| format!("{} {}", wanted.address, wanted.depth)).collect()
}

#[test]
fn a_page_leads_to_what_it_needs_and_then_to_what_it_links_to() {
    let mut course = course(&["/"], Manifest::default());
    let html = head(200, &[("content-type", "text/html"), ("surrogate-key", "home")]);
    let step = answer(&mut course, &html, "<a href=/next>n</a><img src=/a.png><a href=//elsewhere.example/>e</a>");
    let Outcome::Kept(page) = &step.outcome else { panic!("{step:?}") };
    assert_eq!((page.status, page.tags.names().len(), page.object.as_ref()), (200, 1, None));
    assert_eq!(asked(&mut course), ["/a.png 0", "/next 1"]);
}

#[test]
fn a_page_that_is_not_to_be_kept_still_leads_on_and_so_does_a_redirect() {
    let mut course = course(&["/", "/old"], Manifest::default());
    let html = head(200, &[("content-type", "text/html")]);
    let step = answer(&mut course, &html, "<meta name=robots content=noindex><a href=/next>n</a>");
    assert_eq!(step.outcome, Outcome::LeftOut(Why::Noindex));
    let step = answer(&mut course, &head(302, &[("location", "/new")]), "");
    assert_eq!(step.outcome, Outcome::LeftOut(Why::Temporary));
    assert_eq!(asked(&mut course), ["/next 1", "/new 1"]);
}

#[test]
fn what_robots_or_the_route_forbids_is_not_asked_for() {
    let mut course = course(&["/"], Manifest::default());
    assert_eq!(course.may_ask(&address("/cart"), true), Ok(()), "not known yet");
    assert_eq!(course.may_ask(&address("/"), false), Err(Why::NotShown));
    let robots = Robots::parse("User-agent: *\nDisallow: /cart\nSitemap: /map.xml\n");
    let mut step = Step::begin(course.pop().unwrap());
    course.learn_robots(&address("/robots.txt"), robots, &mut step);
    assert!(course.knows_robots(""));
    assert_eq!(course.may_ask(&address("/cart"), true), Err(Why::Robots));
    assert_eq!(step.found.iter().map(|wanted| wanted.kind).collect::<Vec<_>>(), [Kind::Sitemap]);
    course.bytes = BYTES_MAX;
    assert_eq!(course.may_ask(&address("/"), true), Err(Why::Full));
}

#[test]
fn an_origin_is_gone_after_several_urls_without_an_answer_in_a_row() {
    let mut course = course(&["/"], Manifest::default());
    assert!((1..GONE_AFTER).all(|_| !course.is_gone_by(Why::Unreachable)));
    assert!(!course.is_gone_by(Why::Slow), "slow is not gone");
    answer(&mut course, &head(404, &[]), "");
    assert!((1..GONE_AFTER).all(|_| !course.is_gone_by(Why::Unreachable)), "an answer begins the count anew");
    assert!(course.is_gone_by(Why::Unreachable));
}

#[test]
fn an_old_page_is_better_than_none_unless_the_origin_took_it_back() {
    let object = Some(Object { hash: "ab".repeat(32), length: 5 });
    let html = vec![("content-type".to_owned(), "text/html".to_owned())];
    let old = |at: &str| Page { object: object.clone(), ..page(&address(at), &head(200, &[]), html.clone(), TIMES) };
    let before = Manifest { pages: ["/busy", "/gone", "/paid"].map(old).into(), ..Manifest::default() };
    let mut course = course(&["/busy", "/gone", "/paid"], before.clone());
    let mut steps = Vec::new();
    for status in [500, 410, 402] {
        let mut step = answer(&mut course, &head(status, &[]), "");
        steps.push(step.clone());
        if let Some(page) = course.page_before(&step).cloned() {
            course.fall_back(&mut step, page, b"<a href=/behind>b</a>");
        }
        course.take_up(step);
    }
    assert_eq!((course.progress(), course.bytes()), ((3, 1), 5));
    assert_eq!(asked(&mut course), ["/behind 1"], "what the old page leads to is asked for");
    let manifest = course.end().unwrap();
    assert_eq!(manifest.pages, [old("/busy")]);
    assert_eq!(manifest.left_out_counts, [(Why::NotFound, 1), (Why::Status, 1)].into());
    let (manifest, left_out) = refreshed(before, steps, 2000);
    assert_eq!((manifest.id.as_str(), manifest.pages), ("2000", vec![old("/busy")]));
    assert_eq!(left_out.iter().map(|left| left.why).collect::<Vec<_>>(), [Why::Failed, Why::NotFound, Why::Status]);
}

#[test]
fn a_report_tells_no_more_what_a_page_was_left_out_for_once_it_is_taken() {
    let mut before = Manifest::default();
    ["/a", "/b"].iter().for_each(|url| before.leave_out(url, Why::Slow));
    let mut course = course(&["/a", "/b"], Manifest::default());
    let steps = [200, 404].map(|status| answer(&mut course, &head(status, &[]), ""));
    let (manifest, _) = refreshed(before, steps.into(), 2000);
    assert_eq!(manifest.left_out, [LeftOut { url: "/b".to_owned(), why: Why::NotFound }]);
    assert_eq!(manifest.left_out_counts, [(Why::NotFound, 1)].into());
}

#[test]
fn a_redirect_to_itself_leads_nowhere() {
    let mut course = course(&["/"], Manifest::default());
    let step = answer(&mut course, &head(301, &[("location", "https://shop.example/")]), "");
    assert_eq!(step.outcome, Outcome::LeftOut(Why::BadRedirect), "the site is asked by http, and says https");
}

#[test]
fn one_that_was_broken_off_goes_on_where_it_was() {
    let mut broken_off = course(&["/"], Manifest::default());
    let html = head(200, &[("content-type", "text/html")]);
    let step = answer(&mut broken_off, &html, "<a href=/1>1</a><a href=/2>2</a>");
    let (site, seeds) = Site::of(&["/".to_owned()], "shop.example").unwrap();
    let mut course = Course::new(site, seeds, 100, Manifest::default(), Manifest::default(), vec![step]);
    assert_eq!(course.progress(), (1, 2));
    assert_eq!(asked(&mut course), ["/1 1", "/2 1"]);
    assert_eq!(course.end().unwrap().pages.len(), 1);
}

#[test]
fn where_nothing_was_taken_the_first_reason_is_told() {
    let mut course = course(&["/"], Manifest::default());
    let step = answer(&mut course, &head(403, &[]), "");
    course.take_up(step);
    assert_eq!(course.end().unwrap_err(), "/: 401, 403 or 407");
}
