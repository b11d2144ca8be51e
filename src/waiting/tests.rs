//! The pages as a whole: their weight, their languages, their templates.

use std::io::Read as _;

use super::*;

/// What the first response may weigh, compressed: ten packets, which arrive without an answer being waited for.
const FIRST_PACKETS_BYTES: usize = 14 * 1024;

fn unpacked(packed: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    text
}

fn reader(language: Language) -> Reader<'static> {
    Reader { language, nonce: "0123456789abcdef0123456789abcdef" }
}

fn pages(theme: &Theme) -> Pages {
    Pages::new([("sale", "Tatkal booking", theme)])
}

#[test]
fn every_page_in_every_language_and_state_is_light_and_whole() {
    let pages = pages(&Theme::default());
    let mut heaviest = (0, String::new());
    for language in Language::ALL {
        for name in SAMPLES {
            let status = sample(name, "sale", 1_795_000_000_000).unwrap();
            let page = pages.show(&status, "1A2B-3C4D", reader(language), &Paths::of("sale")).unwrap();
            assert!(page.contains(&format!("<html lang=\"{}\" dir=\"{}\">", language.tag(), language.direction())));
            assert!(!page.contains("undefined") && page.ends_with("</html>"), "{name}");
            let packed = pages.pack(&page, language);
            assert_eq!(unpacked(&packed), page, "{name} in {}", language.tag());
            heaviest = heaviest.max((packed.len(), format!("{name} in {}", language.tag())));
        }
    }
    assert!(heaviest.0 <= FIRST_PACKETS_BYTES, "{heaviest:?}");
}

#[test]
fn what_every_page_shares_is_found_in_it() {
    let pages = pages(&Theme::default());
    let page = pages.waiting(&sample("waiting", "sale", 0).unwrap(), "", reader(Language::Hi));
    for piece in [&pages.style, &pages.words(Language::Hi).live_piece, &pages.script] {
        assert!(piece.stands_in(&page), "it would be packed for each page anew");
    }
}

#[test]
fn only_the_language_that_is_needed_goes_along() {
    let page = pages(&Theme::default()).waiting(&sample("waiting", "sale", 0).unwrap(), "", reader(Language::Ta));
    assert!(page.contains("நீங்கள் வரிசையில் உள்ளீர்கள்") && !page.contains("You are in line"));
}

#[test]
fn what_an_operator_writes_is_text() {
    let evil = "</script><img src=x onerror=alert(1)>";
    let theme = Theme { text: Some(evil.to_owned()), help: Some("/help?a=\"b\"".to_owned()), ..Theme::default() };
    let status = Status { message: Some(evil.to_owned()), ..sample("waiting", "sale", 0).unwrap() };
    let page = Pages::new([("sale", evil, &theme)]).waiting(&status, "", reader(Language::En));
    assert!(!page.contains("<img"), "{page}");
}

#[test]
fn a_rooms_own_template_takes_the_place_of_the_built_in_one() {
    let template = "<!doctype html><html lang=\"{{ lang }}\"><title>{{ shown.tab }}</title>\
                    <style nonce=\"{{ nonce }}\">{{ theme.css }}</style><h1>{{ t.h_waiting }} {{ shown.position }}</h1>";
    let theme =
        Theme { template: Some(template.to_owned()), accent: Some("#8a1538".parse().unwrap()), ..Theme::default() };
    assert_eq!(theme.try_out(), Ok(()));
    let page = pages(&theme).waiting(&sample("waiting", "sale", 0).unwrap(), "", reader(Language::De));
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
