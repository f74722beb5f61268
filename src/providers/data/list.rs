//! A list that comes in pages, as a file describes its paging. No list is believed that may be incomplete.

use std::collections::HashSet;

use serde_json::Value;

use super::spec::{Count, Paging};
use crate::{
    outbound::Response,
    outcome::{Failure, FailureKind},
};

/// The most pages that are read of one list.
const MOST_PAGES: usize = 100;

/// A list that is being read.
#[derive(Debug)]
pub(super) struct List<'a> {
    paging: Option<&'a Paging>,
    seen: HashSet<String>,
    pages: usize,
    /// What the first page said of the whole list.
    total: Option<u64>,
    page: Option<String>,
}

/// What an answer says about its page.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// What tells its items apart.
    pub(super) keys: Vec<String>,
    total: Option<u64>,
    next: Option<String>,
    more: Option<bool>,
}

/// Whether there is another page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Reached,
    NotYet,
}

impl Page {
    /// Reads what an answer says about its page.
    ///
    /// # Errors
    /// `not_understood` if what the vendor promises is not there; `list_incomplete` if the list goes on where the file does not say
    /// how.
    pub(super) fn read(
        paging: Option<&Paging>,
        keys: Vec<String>,
        response: &Response,
        body: &Value,
    ) -> Result<Self, Failure> {
        let goes_on = response.status() == 206 || !matches!(next_url(response), Ok(None));
        if goes_on && !paging.is_some_and(Paging::goes_on) {
            return Err(incomplete("it goes on"));
        }
        let Some(paging) = paging else { return Ok(Self { keys, ..Self::default() }) };
        let silent = |what: &str| Failure::not_understood(format!("a list that does not say {what}"));
        let total = match &paging.total {
            Some(pointer) => {
                Some(pointer.find(body).and_then(Value::as_u64).ok_or_else(|| silent("how many items it has"))?)
            }
            None => None,
        };
        let more = match &paging.more {
            Some(pointer) => match pointer.find(body) {
                Some(Value::Bool(more)) => Some(*more),
                Some(Value::Null) => Some(false),
                Some(Value::String(url)) => Some(!url.is_empty()),
                _ => return Err(silent("whether there is more")),
            },
            None => None,
        };
        if let Some(inner) = &paging.inner {
            let says =
                inner.all(body).filter(|says| !says.is_empty()).ok_or_else(|| silent("whether there is more"))?;
            if !says.into_iter().all(is_end) {
                return Err(incomplete("a list within it goes on"));
            }
        }
        let next = paging.cursor(response, body).map_err(|NoCursor| silent("how it goes on"))?;
        Ok(Self { keys, total, next, more })
    }
}

/// Whether a value says that a list goes no further.
fn is_end(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(false)) || value.as_str() == Some("")
}

/// The list goes on, and cannot be followed.
struct NoCursor;

impl Paging {
    /// The cursor of the next page, if there is one.
    fn cursor(&self, response: &Response, body: &Value) -> Result<Option<String>, NoCursor> {
        if let Some(parameter) = &self.link {
            return next_url(response)?.map(|url| parameter_of(&url, parameter).ok_or(NoCursor)).transpose();
        }
        if let Some(name) = &self.header {
            return match response.header_lines(name).ok_or(NoCursor)?.as_slice() {
                [] if response.status() == 206 => Err(NoCursor),
                [] | [""] => Ok(None),
                [cursor] => Ok(Some((*cursor).to_owned())),
                _ => Err(NoCursor),
            };
        }
        let Some(next) = &self.next else { return Ok(None) };
        let cursor = match next.find(body) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(cursor)) if cursor.is_empty() => return Ok(None),
            Some(Value::String(cursor)) => cursor.clone(),
            Some(Value::Number(cursor)) => cursor.to_string(),
            Some(_) => return Err(NoCursor),
        };
        match &self.parameter {
            Some(parameter) => parameter_of(&cursor, parameter).map(Some).ok_or(NoCursor),
            None => Ok(Some(cursor)),
        }
    }
}

/// The URL of the next page in an answer's `Link` headers.
fn next_url(response: &Response) -> Result<Option<String>, NoCursor> {
    next_link(&response.header_lines("link").ok_or(NoCursor)?.join(", "))
}

/// The URL of the next page in a `Link` header (RFC 8288 3), unless it is said to have no results.
fn next_link(header: &str) -> Result<Option<String>, NoCursor> {
    for link in parts(header, ',') {
        let link = link.trim();
        if link.is_empty() {
            continue;
        }
        let (url, attributes) = link.strip_prefix('<').and_then(|link| link.split_once('>')).ok_or(NoCursor)?;
        let attributes: Vec<_> = parts(attributes, ';').into_iter().filter_map(|one| one.split_once('=')).collect();
        let value = |name: &str| {
            let mut named = attributes.iter().filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
            named.next().map(|(_, value)| value.trim().trim_matches('"'))
        };
        // A link may have several relations.
        let mut relations = value("rel").unwrap_or_default().split_ascii_whitespace();
        if relations.any(|relation| relation.eq_ignore_ascii_case("next")) && value("results") != Some("false") {
            return Ok(Some(url.to_owned()));
        }
    }
    Ok(None)
}

/// What stands between the separators that are neither in a URL nor between quotes.
fn parts(text: &str, separator: char) -> Vec<&str> {
    let (mut within, mut is_quoted) = (false, false);
    let separates = |c: char| {
        match c {
            '"' if !within => is_quoted = !is_quoted,
            '<' if !is_quoted => within = true,
            '>' if !is_quoted => within = false,
            _ => {}
        }
        c == separator && !within && !is_quoted
    };
    text.split(separates).collect()
}

/// A parameter of a URL. Nothing else is taken from it: neither its host nor its path is called.
fn parameter_of(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    parameters.find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.into_owned())
}

impl<'a> List<'a> {
    pub(super) fn new(paging: Option<&'a Paging>) -> Self {
        let page = paging.filter(|paging| paging.count.is_some()).map(|paging| paging.from.to_string());
        Self { paging, seen: HashSet::new(), pages: 0, total: None, page }
    }

    /// The page to ask for; `None` where the first one has no name.
    pub(super) fn page(&self) -> Option<&str> {
        self.page.as_deref()
    }

    /// Takes a page.
    ///
    /// # Errors
    /// If the list cannot be known in full: nobody may be called absent from the rest.
    pub(super) fn add(&mut self, page: Page) -> Result<End, Failure> {
        let (empty, known) = (page.keys.is_empty(), self.seen.len());
        if self.pages == 0 {
            self.total = page.total;
        } else if self.total != page.total {
            // Who moved from one page to the other is on neither.
            return Err(Failure::new(FailureKind::Unavailable, "list_changed"));
        }
        self.seen.extend(page.keys);
        self.pages += 1;
        let (came, fresh) = (self.seen.len(), self.seen.len() > known);
        let complete = self.total == u64::try_from(came).ok();
        let Some(paging) = self.paging else { return Ok(End::Reached) };
        let end = match paging.count {
            Some(_) => empty || page.more == Some(false) || complete,
            None => page.next.is_none() || page.more == Some(false),
        };
        if end {
            let too_few = self.total.is_some_and(|total| u64::try_from(came).is_ok_and(|came| came < total));
            let is_short = too_few || page.more == Some(true);
            return if is_short { Err(incomplete("fewer came than it is said to have")) } else { Ok(End::Reached) };
        }
        let next = match paging.count {
            Some(Count::Pages) => Some((paging.from + self.pages).to_string()),
            Some(Count::Items) => Some((paging.from + came).to_string()),
            None => page.next,
        };
        match () {
            () if self.pages == MOST_PAGES => Err(incomplete("it has more pages than are read")),
            () if !empty && !fresh => Err(incomplete("the same page came again")),
            () if next == self.page => Err(incomplete("the same page is the next one")),
            () => {
                self.page = next;
                Ok(End::NotYet)
            }
        }
    }
}

fn incomplete(why: &str) -> Failure {
    Failure::new(FailureKind::Rejected, "list_incomplete").detail(format!("the list cannot be read in full: {why}"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName};
    use serde_json::json;

    use super::*;

    fn paging(toml: &str) -> Paging {
        toml::from_str(toml).unwrap()
    }

    fn page(keys: &[&str], total: Option<u64>, next: Option<&str>, more: Option<bool>) -> Page {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        Page { keys, total, next: next.map(str::to_owned), more }
    }

    /// What is asked for, and how it ends.
    fn read(paging: &Paging, pages: Vec<Page>) -> (Vec<Option<String>>, Result<(), String>) {
        let (mut list, mut asked) = (List::new(Some(paging)), Vec::new());
        for page in pages {
            asked.push(list.page().map(str::to_owned));
            match list.add(page) {
                Ok(End::NotYet) => {}
                Ok(End::Reached) => return (asked, Ok(())),
                Err(failure) => return (asked, Err(failure.reason)),
            }
        }
        (asked, Err("not ended".to_owned()))
    }

    fn asked(pages: &[&str]) -> Vec<Option<String>> {
        pages.iter().map(|page| Some((*page).to_owned()).filter(|page| !page.is_empty())).collect()
    }

    #[test]
    fn counted_list_ends_at_its_total_or_with_an_empty_page() {
        let by_page = paging("count = \"pages\"\nfrom = 1\ntotal = \"/t\"");
        let pages = vec![page(&["a", "b"], Some(3), None, None), page(&["c"], Some(3), None, None)];
        assert_eq!(read(&by_page, pages), (asked(&["1", "2"]), Ok(())));
        let short = vec![page(&["a"], Some(3), None, None), page(&[], Some(3), None, None)];
        assert_eq!(read(&by_page, short).1, Err("list_incomplete".to_owned()));
        let changed = vec![page(&["a"], Some(3), None, None), page(&["b"], Some(2), None, None)];
        assert_eq!(read(&by_page, changed).1, Err("list_changed".to_owned()));
        let same = vec![page(&["a"], Some(3), None, None), page(&["a"], Some(3), None, None)];
        assert_eq!(read(&by_page, same).1, Err("list_incomplete".to_owned()));
        let by_item = paging("count = \"items\"");
        let pages =
            vec![page(&["a", "b"], None, None, None), page(&["c"], None, None, None), page(&[], None, None, None)];
        assert_eq!(read(&by_item, pages), (asked(&["0", "2", "3"]), Ok(())));
    }

    #[test]
    fn list_that_says_it_has_more_is_read_on() {
        let more = paging("count = \"items\"\nmore = \"/more\"");
        let pages = vec![page(&["a"], None, None, Some(true)), page(&["b"], None, None, Some(false))];
        assert_eq!(read(&more, pages), (asked(&["0", "1"]), Ok(())));
        let empty = vec![page(&[], None, None, Some(true))];
        assert_eq!(read(&more, empty).1, Err("list_incomplete".to_owned()));
    }

    #[test]
    fn cursor_is_followed_until_there_is_none() {
        let cursor = paging("next = \"/next\"");
        let pages =
            vec![page(&["a"], None, Some("x"), None), page(&[], None, Some("y"), None), page(&["b"], None, None, None)];
        assert_eq!(read(&cursor, pages), (asked(&["", "x", "y"]), Ok(())));
        let same = vec![page(&["a"], None, Some("x"), None), page(&["b"], None, Some("x"), None)];
        assert_eq!(read(&cursor, same).1, Err("list_incomplete".to_owned()));
        let lost = paging("next = \"/next\"\nmore = \"/more\"");
        assert_eq!(read(&lost, vec![page(&["a"], None, None, Some(true))]).1, Err("list_incomplete".to_owned()));
    }

    #[test]
    fn header_is_followed_until_it_is_empty_and_missed_in_a_partial_answer() {
        let paging = paging("header = \"next-range\"");
        let next = |status: u16, header: Option<&str>| {
            let headers = header.map(|value| (HeaderName::from_static("next-range"), value.parse().unwrap()));
            let response = Response::empty(status, headers.into_iter().collect());
            Page::read(Some(&paging), Vec::new(), &response, &Value::Null).map(|page| page.next)
        };
        assert_eq!(next(206, Some("]a..; max=200")), Ok(Some("]a..; max=200".to_owned())));
        for (status, header) in [(200, None), (200, Some("")), (206, Some(""))] {
            assert_eq!(next(status, header), Ok(None), "{status} {header:?}");
        }
        assert_eq!(next(206, None).unwrap_err().reason, "not_understood");
    }

    #[test]
    fn list_that_goes_on_without_paging_is_incomplete() {
        let totaled = paging("total = \"/t\"");
        let counted = paging("count = \"pages\"");
        let next = "<https://api.example.com/x?page=2>; rel=\"next\"";
        let last = "<https://api.example.com/x?page=1>; rel=\"prev\"";
        for (paging, status, link, expected) in [
            (None, 200, None, Ok(())),
            (None, 200, Some(last), Ok(())),
            (None, 200, Some(next), Err("list_incomplete")),
            (None, 206, None, Err("list_incomplete")),
            (Some(&totaled), 200, Some(last), Ok(())),
            (Some(&totaled), 200, Some(next), Err("list_incomplete")),
            (Some(&counted), 200, Some(next), Ok(())),
        ] {
            let link = link.map(|link| (HeaderName::from_static("link"), link.parse().unwrap()));
            let response = Response::empty(status, link.into_iter().collect());
            let read = Page::read(paging, Vec::new(), &response, &json!({"t": 0}));
            let reason = read.map(|_| ()).map_err(|failure| failure.reason);
            assert_eq!(reason, expected.map_err(str::to_owned), "{status} {paging:?}");
        }
    }

    #[test]
    fn list_within_must_end() {
        let paging = paging("next = \"/next\"\ninner = \"/domains/*/users/next\"");
        let reason = |body: Value| {
            let response = Response::empty(200, HeaderMap::new());
            Page::read(Some(&paging), Vec::new(), &response, &body).err().map(|failure| failure.reason)
        };
        let domains = |next: Value| json!({"domains": [{"users": {"next": null}}, {"users": {"next": next}}]});
        for end in [json!(null), json!(""), json!(false)] {
            assert_eq!(reason(domains(end)), None);
        }
        assert_eq!(reason(domains(json!("x"))).as_deref(), Some("list_incomplete"));
        for silent in [json!({}), json!({"domains": []}), json!({"domains": [{"users": {}}]})] {
            assert_eq!(reason(silent.clone()).as_deref(), Some("not_understood"), "{silent}");
        }
    }

    #[test]
    fn list_without_paging_is_complete_only_if_it_does_not_say_otherwise() {
        let checked = paging("total = \"/count\"\nmore = \"/more\"");
        assert_eq!(read(&checked, vec![page(&["a"], Some(1), None, Some(false))]).1, Ok(()));
        assert_eq!(read(&checked, vec![page(&["a"], Some(2), None, None)]).1, Err("list_incomplete".to_owned()));
        assert_eq!(read(&checked, vec![page(&["a"], Some(1), None, Some(true))]).1, Err("list_incomplete".to_owned()));
    }

    #[test]
    fn link_gives_its_parameter_and_nothing_else() {
        let header = "<https://evil.example.com/x?cursor=0%3A1&api_key=k>; rel=\"previous\"; results=\"true\", \
                      <https://evil.example.com/x?cursor=0%3A2>; rel=\"next\"; results=\"true\"; cursor=\"0:2\"";
        let next = |header: &str| next_link(header).map_err(|NoCursor| "no cursor");
        assert_eq!(next(header).unwrap().and_then(|url| parameter_of(&url, "cursor")).as_deref(), Some("0:2"));
        assert_eq!(next(&header.replace("results=\"true\"", "results=\"false\"")), Ok(None));
        assert_eq!(parameter_of("https://api.example.com/x", "cursor"), None);
    }

    #[test]
    fn link_is_read_in_every_form_in_which_it_may_come() {
        let next = |header: &str| next_link(header).map_err(|NoCursor| "no cursor");
        for header in [
            "<https://a.example/x?limit=2>; rel=\"self\", <https://a.example/x?cursor=2>; rel=\"next\"",
            "<https://a.example/x?cursor=2>; rel=\"next\",<https://a.example/x?cursor=9>; rel=\"last\"",
            "<https://a.example/x?cursor=2>; rel=\"next last\"",
            "<https://a.example/x?cursor=2>;REL=Next;title=\"a, b; c\"",
            ", <https://a.example/x?cursor=2>; title=\"<a>, b\"; rel=next",
        ] {
            assert_eq!(next(header), Ok(Some("https://a.example/x?cursor=2".to_owned())), "{header}");
        }
        assert_eq!(next("<https://a.example/x?a=1,2>; rel=\"last\""), Ok(None));
        assert_eq!(next(""), Ok(None));
        assert_eq!(next("https://a.example/x?cursor=2; rel=next"), Err("no cursor"));
    }
}
