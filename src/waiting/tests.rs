//! The pages as a whole: their weight, their languages, their templates.

use std::io::Read as _;

use super::*;

fn unpacked(packed: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    text
}

fn reader(language: Language) -> Reader<'static> {
    Reader { language, coding: Coding::Identity, nonce: "" }
}

fn text(page: &WaitingPage) -> String {
    String::from_utf8(page.parts().concat()).unwrap()
}

/// The page as a browser shows it.
fn page(pages: &Pages, status: &Status, code: &str, language: Language) -> String {
    text(&pages.waiting(status, code, language, Coding::Identity))
}

/// Checks that a page comes out of its mould as out of its template; returns it, packed.
fn check_mould(pages: &Pages, status: &Status, code: &str, language: Language) -> WaitingPage {
    let rendered = pages.render(status, code, reader(language)).unwrap();
    assert_eq!(page(pages, status, code, language), rendered, "{status:?} in {}", language.tag());
    let packed = pages.waiting(status, code, language, Coding::Gzip);
    let bytes = packed.parts().concat();
    assert_eq!(unpacked(&bytes), rendered, "{status:?} in {}", language.tag());
    assert_eq!(pages.waiting(status, code, language, Coding::Gzip).into_bytes(), bytes);
    packed
}

fn pages(theme: &Theme) -> Pages {
    Pages::new([("sale", "Tatkal booking", theme)])
}

/// What the first response may weigh, packed: about ten packets, which arrive without an answer being waited for.
const FIRST_PACKETS_BYTES: usize = 14 * 1024;

#[test]
fn every_page_in_every_language_and_state_is_light_and_whole() {
    let pages = pages(&Theme { accent: Some("#8a1538".parse().unwrap()), ..Theme::default() });
    let mut heaviest = (0, String::new());
    for language in Language::ALL {
        for name in SAMPLES {
            let status = sample(name, "sale", 1_795_000_000_000).unwrap();
            let page = page(&pages, &status, "1A2B-3C4D", language);
            assert!(page.contains(&format!("<html lang=\"{}\" dir=\"{}\">", language.tag(), language.direction())));
            assert!(!page.contains("undefined") && page.ends_with("</html>"), "{name}");
            let packed = check_mould(&pages, &status, "1A2B-3C4D", language);
            let (weight, what) = (packed.parts().concat().len(), format!("{name} in {}", language.tag()));
            assert!(matches!(packed, WaitingPage::Filled(_)), "{what} would be packed for each visitor anew");
            heaviest = heaviest.max((weight, what));
        }
    }
    assert!(heaviest.0 <= FIRST_PACKETS_BYTES, "{heaviest:?}");
}

#[test]
fn one_visitors_page_leaves_nothing_in_anothers() {
    let pages = pages(&Theme { text: Some("Ω & more".to_owned()), ..Theme::default() });
    let named = |name| sample(name, "sale", 1_795_000_000_000).unwrap();
    let waiting = named("waiting");
    for status in [
        waiting.clone(),
        Status { position: Some(1), ahead: Some(0), number: Some(7), waiting: 1, ..waiting.clone() },
        Status { position: None, ahead: None, eta_seconds: None, ..waiting.clone() },
        Status { forecast: None, ..waiting.clone() },
        Status { forecast: None, stock: None, ..waiting.clone() },
        Status { admissions_per_second: Some(0.0), ..waiting.clone() },
        Status { admissions_per_second: Some(0.01), stock: None, ..waiting.clone() },
        Status { message: Some("<b>It's & \"late\"".to_owned()), ..waiting.clone() },
        Status { message: Some(String::new()), grace_seconds: Some(0), ..waiting.clone() },
        Status { message: Some("a mark \u{f0000} of ours".to_owned()), ..waiting.clone() },
        Status { next_update_seconds: 60, grace_seconds: None, ..waiting.clone() },
        Status { store_up: false, ..waiting.clone() },
        Status { session_ends_at: Some(1_795_000_100_000), ..named("called") },
        Status { opens_at: Some(0), ..named("pre_queue") },
    ] {
        for language in [Language::En, Language::Fr, Language::Ar] {
            check_mould(&pages, &status, "1A2B-3C4D", language);
            check_mould(&pages, &status, "", language);
        }
    }
}

#[test]
fn what_is_said_again_later_is_known_to_be_the_same() {
    let status = Status { message: Some("\"as_of\":7".to_owned()), ..sample("waiting", "sale", 1_000).unwrap() };
    let (text, gist) = status.written();
    assert_eq!(text, serde_json::to_string(&status).unwrap());
    assert_eq!(Status { as_of: 20_000, ..status.clone() }.written().1, gist);
    assert_ne!(Status { position: Some(1), ..status.clone() }.written().1, gist);
    assert_ne!(Status { store_up: false, ..status }.written().1, gist);
}

#[test]
fn a_template_of_its_own_has_no_mould() {
    let template = "{% if status.position > 9 %}far{% endif %} {{ shown.position | length }}";
    let pages = pages(&Theme { template: Some(template.to_owned()), ..Theme::default() });
    let waiting = sample("waiting", "sale", 0).unwrap();
    let page = |position| {
        let status = Status { position: Some(position), ..waiting.clone() };
        page(&pages, &status, "", Language::En)
    };
    assert_eq!([page(4_182), page(1)], ["far 5", " 1"]);
}

#[test]
fn what_every_page_shares_is_found_in_it() {
    let pages = pages(&Theme::default());
    let page = page(&pages, &sample("waiting", "sale", 0).unwrap(), "", Language::Hi);
    for piece in [&pages.style, &pages.words(Language::Hi).live_piece, &pages.script] {
        assert!(piece.stands_in(&page), "it would be packed for each page anew");
    }
}

/// What stands in the elements of a page, from behind a beginning of their tags.
fn elements<'p>(page: &'p str, begin: &str, end: &str) -> Vec<(&'p str, &'p str)> {
    let told = page.split(begin).skip(1).filter_map(|rest| rest.split_once(end));
    told.filter_map(|(element, _)| element.split_once('>')).collect()
}

#[test]
fn the_policy_of_a_page_names_its_own_style_and_script_and_nothing_else() {
    let accent = Theme { accent: Some("#8a1538".parse().unwrap()), ..Theme::default() };
    // The last one is not filled into a mould.
    let marked = Theme { text: Some("a mark \u{f0000} of ours".to_owned()), ..Theme::default() };
    for theme in [&Theme::default(), &accent, &marked] {
        let page = pages(theme).waiting(&sample("waiting", "sale", 0).unwrap(), "", Language::En, Coding::Identity);
        assert_eq!(matches!(page, WaitingPage::Filled(_)), !std::ptr::eq(theme, &raw const marked));
        let html = text(&page);
        let styles = elements(&html, "<style", "</style>");
        let scripts = elements(&html, "<script", "</script>");
        let running: Vec<_> = scripts.iter().filter(|(tag, _)| !tag.contains("application/json")).collect();
        let ([(tag, style)], [(kind, script)]) = (styles.as_slice(), running.as_slice()) else { panic!("{html}") };
        assert_eq!((*tag, *kind), ("", " type=\"module\""));
        assert_eq!(page.policy(), policy::by_hash(style, script));
        assert!(page.policy().matches("'sha256-").count() == 2 && !page.policy().contains("unsafe"));
    }
}

#[test]
fn a_style_loses_its_spaces_and_nothing_else() {
    let style =
        ":root {\n  --a: #fff; --b: 0 1px, 2px;\n}\n/* Said. */\n@media (width: 9px) { .a :is(b, c) > d { e: f; } }\n";
    let tightened = ":root{--a:#fff;--b:0 1px,2px}@media (width:9px){.a :is(b,c) > d{e:f}}";
    assert_eq!(tight(&lean(style)), tightened);
    let file = Files::get("page.css").unwrap();
    let style = std::str::from_utf8(&file.data).unwrap();
    let strings = style.split('"').skip(1).step_by(2);
    assert!(strings.clone().count() > 1, "there are strings");
    for string in strings {
        assert_eq!(tight(string), string, "a string is left as it is");
    }
}

#[test]
fn whoever_has_no_scripts_reads_how_old_the_figures_are() {
    let pages = pages(&Theme::default());
    let page = |name| page(&pages, &sample(name, "sale", 1_795_255_409_870).unwrap(), "", Language::En);
    assert!(page("waiting").contains("<noscript><p class=\"label\">As of 10:03:29 UTC.</p></noscript>"));
    assert!(!page("lapsed").contains("As of"), "there are no figures");
}

#[test]
fn only_the_language_that_is_needed_goes_along() {
    let page = page(&pages(&Theme::default()), &sample("waiting", "sale", 0).unwrap(), "", Language::Ta);
    assert!(page.contains("நீங்கள் வரிசையில் உள்ளீர்கள்") && !page.contains("You are in line"));
}

#[test]
fn what_an_operator_writes_is_text() {
    let evil = "</script><img src=x onerror=alert(1)>";
    let theme = Theme { text: Some(evil.to_owned()), help: Some("/help?a=\"b\"".to_owned()), ..Theme::default() };
    let status = Status { message: Some(evil.to_owned()), ..sample("waiting", "sale", 0).unwrap() };
    let page = page(&Pages::new([("sale", evil, &theme)]), &status, "", Language::En);
    assert!(!page.contains("<img"), "{page}");
}

#[test]
fn a_rooms_own_template_takes_the_place_of_the_built_in_one() {
    let template = "<!doctype html><html lang=\"{{ lang }}\"><title>{{ shown.tab }}</title>\
                    <style nonce=\"{{ nonce }}\">{{ theme.css }}</style><h1>{{ t.h_waiting }} {{ shown.position }}</h1>";
    let theme =
        Theme { template: Some(template.to_owned()), accent: Some("#8a1538".parse().unwrap()), ..Theme::default() };
    assert_eq!(theme.try_out(), Ok(()));
    let waiting = || pages(&theme).waiting(&sample("waiting", "sale", 0).unwrap(), "", Language::De, Coding::Identity);
    let (first, second) = (waiting(), waiting());
    assert_ne!(first.policy(), second.policy(), "a nonce is used once");
    let page = text(&first);
    let (_, nonce) = page.split_once("nonce=\"").unwrap();
    assert_eq!(first.policy(), by_nonce(&nonce[..32]));
    assert!(page.contains("<h1>Sie stehen in der Schlange 4.182</h1>") && page.contains("--key:#8a1538"), "{page}");
}

#[test]
fn a_template_with_a_fault_is_refused_with_its_line() {
    let told = |template: &str| {
        let theme = Theme { template: Some(template.to_owned()), ..Theme::default() };
        theme.try_out().unwrap_err().to_string()
    };
    assert!(told("<p>\n{{ shown.postion }}").starts_with("line 2: "), "{}", told("<p>\n{{ shown.postion }}"));
    assert!(told("a\nb\n{% if %}").starts_with("line 3: "));
    assert!(told("{% if state == 'lapsed' %}").contains("line 1"));
    // A fault in one state only is found as well.
    assert!(told("{% if status.state == 'lapsed' %}\n{{ nothing }}{% endif %}").starts_with("line 2: "));
    assert!(told("<script>1</script>").contains("nonce"));
}

/// A room's own template as most begin: the built-in one, with something changed.
fn own(change: impl Fn(String) -> String) -> Theme {
    let file = Files::get("page.html").unwrap();
    let built_in = String::from_utf8(file.data.into_owned()).unwrap();
    let changed = change(built_in.clone());
    assert_ne!(changed, built_in);
    Theme { template: Some(changed), ..Theme::default() }
}

#[test]
fn a_template_may_leave_out_what_is_only_shown() {
    for part in
        [" data-stay", " data-say", " data-device", " data-tell", " data-link=\"idle\"", " data-row=\"forecast\""]
    {
        assert_eq!(own(|page| page.replace(part, "")).try_out(), Ok(()), "{part}");
    }
}

#[test]
fn a_template_that_lacks_what_its_script_needs_is_refused_with_the_name_of_it() {
    for (part, named) in [
        (" id=\"words\"", "id=words;"),
        (" id=\"status\"", "id=status;"),
        ("data-live=\"{{ live_path }}\" data-poll=\"{{ status_path }}\"", "data-live=, data-poll=;"),
    ] {
        let told = own(|page| page.replace(part, "")).try_out().unwrap_err().to_string();
        assert!(told.contains("runs the page's script") && told.contains(named), "{told}");
    }
    let parts = ["words", "link", "asked", "page"].map(|name| format!("{{% include \"waiting/{name}.js\" %}} "));
    let apart =
        own(|page| page.replace("{% include \"waiting/script.html\" %}", &parts.concat()).replace("id=\"words\"", ""));
    assert!(apart.try_out().unwrap_err().to_string().contains("id=words"), "file by file");
    let quoted = own(|page| page.replace("id=\"words\"", "id=words").replace("id=\"status\"", "id='status'"));
    assert_eq!(quoted.try_out(), Ok(()));
    let without = "<!doctype html><meta http-equiv=refresh content=5><p>{{ shown.position }}";
    assert_eq!(Theme { template: Some(without.to_owned()), ..Theme::default() }.try_out(), Ok(()), "it has no script");
}
