//! Rust source as the rooms see it: the names in it, without comments, strings and characters.

/// A name, with the path that leads to it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// Counted from 1.
    pub(crate) line: usize,
    /// Segments with `::` between them; each member of a `use` group has its whole path.
    pub(crate) path: String,
    /// Whether it is a path, or the root of one in a `use`; otherwise a word that could be anything.
    pub(crate) is_path: bool,
}

/// Every name in the code.
pub(crate) fn names(source: &str) -> Vec<Name> {
    let code = code(source);
    let mut names = Vec::new();
    // What stands before each brace that is open: the path of a `use` group, or nothing.
    let mut groups: Vec<String> = Vec::new();
    let (mut line, mut rest, mut path, mut joined, mut imports) =
        (1, code.as_str(), String::new(), false, false);
    while let Some(first) = rest.chars().next() {
        let word = rest.len() - rest.trim_start_matches(is_name).len();
        if word > 0 {
            let text = &rest[..word];
            if !joined {
                path = groups.last().cloned().unwrap_or_default();
            }
            if !path.is_empty() {
                path.push_str("::");
            }
            path.push_str(text);
            if !rest[word..].starts_with("::") {
                let is_path = path.contains("::") || imports;
                names.push(Name { line, path: std::mem::take(&mut path), is_path });
                imports = text == "use";
            }
            (rest, joined) = (&rest[word..], false);
            continue;
        }
        let length = if rest.starts_with("::") { 2 } else { first.len_utf8() };
        match first {
            ':' if length == 2 => joined = !path.is_empty(),
            '{' => groups.push(if joined { path.clone() } else { String::new() }),
            '}' => drop(groups.pop()),
            '\n' => line += 1,
            // A glob, or generic arguments.
            _ if joined => names.push(Name { line, path: path.clone(), is_path: true }),
            _ => {}
        }
        if !first.is_whitespace() && length != 2 {
            (path, joined, imports) = (String::new(), false, false);
        }
        rest = &rest[length..];
    }
    names
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The source with spaces in the place of comments, strings and characters.
pub(crate) fn code(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' | '\'' => literal(rest),
            'b' | 'c' | 'r' if !code.ends_with(is_name) => literal(rest),
            _ => 0,
        };
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(rest[..skipped].chars().map(|c| if c == '\n' { c } else { ' ' }));
            rest = &rest[skipped..];
        }
    }
    code
}

/// The length of the comment at the start; comments nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// The length of the string or character at the start; 0 if there is none, as at a lifetime.
fn literal(text: &str) -> usize {
    let body = text.trim_start_matches(['b', 'c', 'r']);
    let prefix = text.len() - body.len();
    let is_raw = text[..prefix].ends_with('r');
    let quoted = if is_raw { body.trim_start_matches('#') } else { body };
    let hashes = body.len() - quoted.len();
    let start = prefix + hashes + 1;
    if let Some(inside) = quoted.strip_prefix('"') {
        let end = format!("\"{}", "#".repeat(hashes));
        let raw_end = || inside.find(&end).map(|at| at + end.len());
        let length = if is_raw { raw_end() } else { past_quote(inside, '"') };
        return start + length.unwrap_or(inside.len());
    }
    let Some(inside) = body.strip_prefix('\'').filter(|_| !is_raw) else { return 0 };
    let one = inside.chars().next().map_or(0, char::len_utf8);
    if inside.starts_with('\\') || inside[one..].starts_with('\'') {
        return start + past_quote(inside, '\'').unwrap_or(inside.len());
    }
    0
}

/// One past the quote that is not escaped.
fn past_quote(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_characters_are_blank() {
        let blank = |source: &str| code(source).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(blank("a // b\nc /* d /* e */ f */ g"), "a c g");
        assert_eq!(blank(r#"a "b \" c" d"#), "a d");
        assert_eq!(blank(r##"a r#"b " c"# br"d\" e"##), "a e");
        assert_eq!(blank(r"f('a', '\'', b'x') for<'b> 'c: r#fn"), "f( , , ) for<'b> 'c: r#fn");
        assert_eq!(code("\"a\nb\"").matches('\n').count(), 1);
    }

    #[test]
    fn members_of_a_group_have_their_whole_path() {
        let paths = |source: &str| -> Vec<String> {
            names(source).into_iter().filter(|name| name.is_path).map(|name| name.path).collect()
        };
        let found = paths("use a::{b, c::{d, e::*}}; f::g();");
        assert_eq!(found, ["a::b", "a::c::d", "a::c::e", "f::g"]);
        assert_eq!(paths("use a;\nlet b = c { d: 1 };"), ["a"]);
        assert_eq!(
            paths("match a { B::C { d } => ::e::f, _ => return ::g::h }"),
            ["B::C", "e::f", "g::h"]
        );
    }
}
