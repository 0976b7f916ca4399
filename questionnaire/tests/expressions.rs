//! Every function and operator of the expression language, case by case.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a helper of tests fails its test")]

#[path = "support/form.rs"]
mod form;

use form::compute;

#[track_caller]
fn table(cases: &[(&str, &str)]) {
    for (expression, expected) in cases {
        match compute(expression) {
            Ok(text) => assert_eq!(text, *expected, "{expression}"),
            Err(problems) => panic!("{expression}: {problems}"),
        }
    }
}

#[test]
fn operators_bind_as_xpath_says() {
    table(&[
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("10 - 4 - 3", "3"),
        ("12 div 2 div 3", "2"),
        ("7 mod 4", "3"),
        ("-7 mod 4", "-3"),
        ("7 mod -4", "3"),
        ("- - 3", "3"),
        ("-2 * -3", "6"),
        ("2 - -3", "5"),
        ("1 = 1 and 2 > 1 or 1 = 2", "true"),
        ("1 = 2 or 1 = 1 and 1 = 2", "false"),
        ("1 < 2 = true()", "true"),
        ("3 > 2 > 1", "false"),
        ("1 + 1 = 2", "true"),
        ("5 div 0", "Infinity"),
        ("-5 div 0", "-Infinity"),
        ("0 div 0", ""),
        ("0 div 0 = 0 div 0", "false"),
        ("0.1 + 0.2 = 0.3", "true"),
        ("1 and 'a' and not('')", "true"),
        ("'a' < 'b'", "false"),
        ("'2' > 1", "true"),
        ("'10' = 10", "true"),
        ("'010' = '10'", "false"),
        ("true() = 'anything'", "true"),
        ("false() = ''", "true"),
        (".5 + 1.", "1.5"),
        ("count(${v} | ${w})", "6"),
        ("count(${v} | ${v})", "3"),
        ("\u{201c}curly\u{201d}", "curly"),
        ("\u{2018}it\u{2019}", "it"),
        ("\"it's\"", "it's"),
        ("concat('a',\n'b')", "ab"),
        ("${n}-1", "6"),
        ("${n} div 2", "3.5"),
        ("7*2", "14"),
        ("${n}*${n}", "49"),
        ("1 AND 0", "false"),
    ]);
}

#[test]
fn conversions_follow_xpath_and_odk() {
    table(&[
        ("number('')", ""),
        ("number('') = ''", "false"),
        ("string(number(''))", "NaN"),
        ("number(' 12.50 ')", "12.5"),
        ("number('1,5')", "1.5"),
        ("number('abc') = 1", "false"),
        ("number(true())", "1"),
        ("number(${day})", "19782"),
        ("number('2024-02-29')", ""),
        ("string(1.0)", "1"),
        ("string(1000000000000000000000)", "1000000000000000000000"),
        ("string(0.0000001)", "0.0000001"),
        ("string(true())", "true"),
        ("string(${day})", "2024-02-29"),
        ("boolean('')", "false"),
        ("boolean('false')", "true"),
        ("boolean(0)", "false"),
        ("boolean(number('x'))", "false"),
        ("boolean(${day})", "true"),
        ("boolean-from-string('TRUE')", "true"),
        ("boolean-from-string('1')", "true"),
        ("boolean-from-string(1)", "true"),
        ("boolean-from-string('yes')", "false"),
        ("int(7.9)", "7"),
        ("int(-7.9)", "-7"),
        ("int('')", ""),
        ("int('12.7')", "12"),
        ("${y} = ''", "true"),
        ("${y} > 0", "false"),
        ("${y} < 0", "false"),
        ("${y} != 5", "true"),
        ("${y} + 1", ""),
        ("${gone} = ''", "true"),
        ("string-length(${gone})", "0"),
        ("not(${y})", "true"),
        ("if('false', 1, 2)", "1"),
        ("if(0, 1, 2)", "2"),
        ("if(${y}, 'a', 'b')", "b"),
        ("coalesce(${y}, ${x})", "Kupang"),
        ("coalesce('', '')", ""),
        ("coalesce(number('x'), 5)", "5"),
        ("coalesce(0, 5)", "0"),
    ]);
}

#[test]
fn text_functions_count_characters() {
    table(&[
        ("string-length('Pälë🌾')", "5"),
        ("string-length('')", "0"),
        ("concat('a', 1, true(), '')", "a1true"),
        ("concat(${w})", "firstsecondthird"),
        ("join(', ', ${w})", "first, second, third"),
        ("join('-', 'a', 'b', 1)", "a-b-1"),
        ("join('-', 'a', ${w})", "a-first-second-third"),
        ("substr('hello', 1)", "ello"),
        ("substr('hello', 1, 3)", "el"),
        ("substr('hello', -3)", "llo"),
        ("substr('hello', 0, -1)", "hell"),
        ("substr('hello', 9)", ""),
        ("substr('hello', 3, 2)", ""),
        ("substr('', 0, 5)", ""),
        ("substr('Pälë🌾', 3, 5)", "ë🌾"),
        ("substr(5371, 0, 2)", "53"),
        ("substring('12345', 2, 3)", "234"),
        ("substring('12345', 2)", "2345"),
        ("substring('12345', 1.5, 2.6)", "234"),
        ("substring('12345', 0, 3)", "12"),
        ("substring('12345', 0 div 0, 3)", ""),
        ("substring-before('a=b=c', '=')", "a"),
        ("substring-after('a=b=c', '=')", "b=c"),
        ("substring-before('abc', 'x')", ""),
        ("substring-after('abc', 'x')", ""),
        ("substring-after('abc', '')", "abc"),
        ("contains('Kupang', 'pan')", "true"),
        ("contains('Kupang', '')", "true"),
        ("starts-with('Kupang', 'Ku')", "true"),
        ("ends-with('Kupang', 'ng')", "true"),
        ("translate('bar', 'abc', 'AB')", "BAr"),
        ("translate('--aaa--', 'abc-', 'ABC')", "AAA"),
        ("translate('éa', 'é', 'e')", "ea"),
        ("normalize-space('  a \t b\n')", "a b"),
        ("upper-case('straße')", "STRASSE"),
        ("lower-case('ÄB')", "äb"),
        ("regex('08123456789', '^(0|\\+62)[0-9]{8,13}$')", "true"),
        ("regex('+62812345678', '^(0|\\+62)[0-9]{8,13}$')", "true"),
        ("regex('abc', 'b')", "false"),
        ("regex('abc', '.b.')", "true"),
        ("regex('12', '\\d+')", "true"),
        ("regex('१२', '\\d+')", "false"),
        ("regex('a-1', '[\\w\\-]+')", "true"),
        ("regex('', '')", "true"),
        ("regex('x', ${x})", "false"),
        ("regex('Kupang', ${x})", "true"),
        ("thousands-sep(1234567.5)", "1,234,567.5"),
        ("thousands-sep(-1000)", "-1,000"),
        ("thousands-sep(12)", "12"),
        ("thousands-sep('')", ""),
        ("digest('abc', 'MD5', 'hex')", "900150983cd24fb0d6963f7d28e17f72"),
        ("digest('abc', 'SHA-1', 'hex')", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("digest('abc', 'SHA-256')", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="),
        ("digest('abc', 'nothing')", ""),
        ("base64-decode('S3VwYW5nIMOpIQ==')", "Kupang é!"),
        ("base64-decode('?')", ""),
    ]);
}

#[test]
fn numbers_are_computed_and_rounded() {
    table(&[
        ("round(2.5)", "3"),
        ("round(-2.5)", "-2"),
        ("round(1.005, 2)", "1.01"),
        ("round(1234.5678, -2)", "1200"),
        ("round('')", ""),
        ("round(1 div 3, 4)", "0.3333"),
        ("floor(-1.5)", "-2"),
        ("ceiling(-1.5)", "-1"),
        ("abs(-3.5)", "3.5"),
        ("pow(2, 10)", "1024"),
        ("pow(2, -1)", "0.5"),
        ("pow('', 2)", ""),
        ("sqrt(16)", "4"),
        ("sqrt(-1)", ""),
        ("exp(0)", "1"),
        ("exp10(3)", "1000"),
        ("log(exp(2))", "2"),
        ("log10(1000)", "3"),
        ("log(0)", "-Infinity"),
        ("round(pi(), 5)", "3.14159"),
        ("sin(0)", "0"),
        ("cos(0)", "1"),
        ("round(tan(pi() div 4), 9)", "1"),
        ("round(asin(1), 5)", "1.5708"),
        ("acos(1)", "0"),
        ("round(atan(1), 5)", "0.7854"),
        ("round(atan2(1, -1), 5)", "2.35619"),
        ("acos(2)", ""),
        ("random() >= 0 and random() < 1", "true"),
        ("random() = random()", "false"),
    ]);
}

#[test]
fn choices_are_looked_at() {
    table(&[
        ("selected(${many}, 'a')", "true"),
        ("selected(${many}, 'b')", "false"),
        ("selected('aa b', 'a')", "false"),
        ("selected('', 'a')", "false"),
        ("selected(${n}, '7')", "true"),
        ("selected(${many}, ' c ')", "true"),
        ("is-selected(${one}, 'b')", "true"),
        ("count-selected(${many})", "2"),
        ("count-selected('')", "0"),
        ("count-selected('  a   b ')", "2"),
        ("selected-at(${many}, 0)", "a"),
        ("selected-at(${many}, 1)", "c"),
        ("selected-at(${many}, 2)", ""),
        ("selected-at(${many}, -1)", ""),
        ("selected-at('', 0)", ""),
        ("jr:choice-name(${one}, '${one}')", "Banana"),
        ("jr:choice-name('a', '/data/many')", "Apple"),
        ("jr:choice-name('z', '${one}')", ""),
        ("jr:choice-name('', '${one}')", ""),
        ("jr:choice-name(selected-at(${many}, 1), '${many}')", "Cherry"),
        ("instance('fruit')/root/item[name = ${one}]/tree", "herb"),
        ("instance('fruit')/root/item[name = ${one}]/label", "Banana"),
        ("count(instance('fruit')/root/item[tree = 'tall'])", "2"),
        ("instance('fruit')/root/item[2]/name", "b"),
        ("instance('fruit')/root/item[position() = 3]/name", "c"),
        ("count(instance('fruit')/root/item)", "3"),
        ("join(' ', instance('fruit')/root/item[tree = 'tall' and name != 'a']/name)", "c"),
        ("jr:itext(instance('fruit')/root/item[name = 'c']/itextId)", "Cherry"),
        ("count(randomize(instance('fruit')/root/item, 5))", "3"),
        ("checklist(1, 2, 1 = 1, 1 = 2, 2 = 2)", "true"),
        ("checklist(3, -1, 1 = 1, 1 = 2, 2 = 2)", "false"),
        ("checklist(-1, 1, 1 = 1, 2 = 2)", "false"),
        ("weighted-checklist(3, 5, 1 = 1, 2, 1 = 2, 9, 2 = 2, 1.5)", "true"),
        ("weighted-checklist(4, 5, 1 = 1, 2)", "false"),
    ]);
}

#[test]
fn dates_know_the_time_zone() {
    table(&[
        ("today()", "2024-02-29"),
        ("now()", "2024-02-29T07:30:15.250+08:00"),
        ("number(today())", "19782"),
        ("today() - date('2024-02-01')", "28"),
        ("date('2024-02-29') = ${day}", "true"),
        ("${day} <= today()", "true"),
        ("${day} > date('2023-02-28')", "true"),
        ("date(19782)", "2024-02-29"),
        ("date(0)", "1970-01-01"),
        ("date('')", ""),
        ("date('2023-02-29')", ""),
        ("date('nonsense')", ""),
        ("date('2024-02-29T23:59:00+08:00')", "2024-02-29"),
        ("date('2024-02-29T23:59:00Z')", "2024-03-01"),
        ("date(today() + 1)", "2024-03-01"),
        ("date-time('2024-02-29')", "2024-02-29T00:00:00.000+08:00"),
        ("date-time(0)", "1970-01-01T08:00:00.000+08:00"),
        ("decimal-date-time('1970-01-02T00:00:00Z')", "1"),
        ("decimal-date-time('1970-01-02T12:00:00Z')", "1.5"),
        ("decimal-date-time(date('2024-03-01')) - decimal-date-time(date('2024-02-28'))", "2"),
        ("decimal-date-time('')", ""),
        ("decimal-date-time(5.25)", "5.25"),
        ("decimal-time('06:00:00.000+08:00')", "0.25"),
        ("decimal-time('12:00')", "0.5"),
        ("decimal-time(${when})", "0.5"),
        ("round(decimal-time(${clock}), 4)", "0.5875"),
        ("format-date(${day}, '%d/%m/%Y')", "29/02/2024"),
        ("format-date('2024-02-29', '%e %b %y %n %a')", "29 Feb 24 2 Thu"),
        ("format-date-time(${when}, '%H:%M:%S')", "12:00:00"),
        ("format-date-time('2024-02-29T04:05:06.007Z', '%Y-%m-%dT%H:%M:%S.%3')", "2024-02-29T12:05:06.007"),
        ("format-date('', '%Y')", ""),
        ("format-date('x', '%Y')", ""),
        ("format-date(today() - 1, '%Y-%m-%d')", "2024-02-28"),
        ("int((today() - ${day}) div 365.25)", "0"),
    ]);
}

#[test]
fn repeats_are_seen_from_outside_and_inside() {
    table(&[
        ("count(${r})", "3"),
        ("count(${v})", "3"),
        ("count-non-empty(${v})", "2"),
        ("sum(${v})", "30"),
        ("sum(${twice})", "60"),
        ("min(${v})", "10"),
        ("max(${v})", "20"),
        ("min(3, 1, 2)", "1"),
        ("max('', 5)", "5"),
        ("max('')", ""),
        ("max(-3, -2)", "-2"),
        ("sum(${u})", "6"),
        ("count(${s})", "3"),
        ("join(' ', ${line})", "1 2 3"),
        ("indexed-repeat(${w}, ${r}, 2)", "second"),
        ("indexed-repeat(${w}, ${r}, 'k')", "third"),
        ("indexed-repeat(${w}, ${r}, '2')", "second"),
        ("indexed-repeat(${w}, ${r}, 9)", ""),
        ("indexed-repeat(${w}, ${r}, 0)", "first"),
        ("indexed-repeat(${w}, ${r}, '')", ""),
        ("indexed-repeat(${w}, ${r}, 'unknown')", ""),
        ("indexed-repeat(${u}, ${r}, 1, ${s}, 2)", "2"),
        ("indexed-repeat(${u}, ${r}, 'j', ${s}, 'p')", "3"),
        ("count(${r}[v > 10])", "1"),
        ("count(${r}[${v} > 10])", "1"),
        ("${r}[2]/w", "second"),
        ("${r}[position() = 3]/w", "third"),
        ("${r}[last()]/w", "third"),
        ("${r}[v = 20]/w", "second"),
        ("${r}[position() = ${n} - 5]/w", "second"),
        ("sum(/data/r/v)", "30"),
        ("sum(/data/r[w = 'first']/s/u)", "3"),
        ("sum(../r/v)", "30"),
        ("count(/data/r[count(s) > 1])", "1"),
        ("count(/data/r/*)", "15"),
        ("${v} = 20", "true"),
        ("${v} = 30", "false"),
        ("current()/../x", "Kupang"),
        ("./../x", "Kupang"),
        ("count(${gone})", "0"),
        ("count(/data/r/*[. = 10])", "1"),
    ]);
}

#[test]
fn places_on_earth_are_measured() {
    table(&[
        ("round(area(${shape}), 0)", "12392"),
        ("round(distance('0 0; 0 1'), 0)", "111319"),
        ("distance('0 0; 0 0')", "0"),
        ("distance('')", "0"),
        ("area('0 0; 0 1')", "0"),
        ("round(distance(${gps}, '-10.1772 123.608 0 0'), 0)", "110"),
        ("geofence('0.0005 0.0005 0 0', ${shape})", "true"),
        ("geofence('1 1 0 0', ${shape})", "false"),
        ("geofence('', ${shape})", "false"),
    ]);
}

#[test]
fn the_device_is_asked_through_the_context() {
    table(&[
        ("version()", "7"),
        ("property('deviceid')", "tablet-7"),
        ("property('unknown')", ""),
        ("${last-saved#x}", "before"),
        ("${last-saved#n}", ""),
        ("string-length(uuid())", "36"),
        ("substr(uuid(), 14, 15)", "4"),
        ("string-length(uuid(12))", "12"),
        ("once('first')", "first"),
        ("depend(5, ${x})", "5"),
    ]);
}

#[test]
fn problems_are_named_with_their_cell() {
    for (expression, code, message) in [
        ("", "expression-invalid", "empty"),
        ("1 +", "expression-invalid", "ends where a value should follow"),
        ("1 + )", "expression-invalid", "can't stand"),
        ("(1 + 2", "expression-invalid", "closing bracket is missing"),
        ("concat('a' 'b')", "expression-invalid", "missing before the text 'b'"),
        ("'abc", "expression-invalid", "has no end"),
        ("${x", "expression-invalid", "no }"),
        ("1 # 2", "expression-invalid", "has no meaning"),
        ("1 == 1", "expression-invalid", "no operator"),
        ("//x", "expression-invalid", "not known"),
        ("./@id", "expression-invalid", "Attributes"),
        ("sellected(${x}, 'a')", "function-unknown", "no function sellected()"),
        ("if(1, 2)", "function-arguments", "has 2 arguments"),
        ("true(1)", "function-arguments", "has 1 arguments"),
        ("indexed-repeat(${v}, ${r}, 1, ${r})", "function-arguments", "has 4"),
        ("indexed-repeat(${x}, ${r}, 1)", "function-arguments", "not in"),
        ("indexed-repeat('x', ${r}, 1)", "function-arguments", "no question"),
        ("jr:choice-name('a', '${x}')", "function-arguments", "no question with choices"),
        ("count(5)", "function-arguments", "questions or rows"),
        ("${unknown}", "reference-unknown", "no question or group unknown"),
        ("../unknown", "path-unknown", "holds no question or group unknown"),
        ("instance('nowhere')/root/item/name", "list-unknown", "no list or file nowhere"),
        ("regex(${x}, '[')", "pattern-invalid", "can't be used"),
        ("regex(${x}, '(?=a)')", "pattern-invalid", "can't be used"),
        ("${out} + 1", "expression-cycle", "in a circle"),
    ] {
        let problems = compute(expression).unwrap_err();
        let problem = &problems.0[0];
        assert_eq!(problem.code.as_str(), code, "{expression}: {problem}");
        assert!(problem.message.contains(message), "{expression}: {problem}");
        assert_eq!((problem.sheet.as_str(), problem.row), ("survey", 8));
        assert_eq!(problem.column, "calculation");
        assert!(problem.fix.ends_with('.') || problem.fix.ends_with('?'));
    }
    assert!(compute("contain('a', 'b')").unwrap_err().0[0].fix.contains("contains()"));
}

#[test]
fn deep_and_long_expressions_do_not_exhaust_the_stack() {
    let deep = format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert_eq!(compute(&deep).unwrap_err().0[0].code.as_str(), "expression-invalid");
    let negative = format!("{}1", "-".repeat(100_000));
    assert_eq!(compute(&negative).unwrap(), "1");
    let long = vec!["1"; 20_000].join(" + ");
    assert_eq!(compute(&long).unwrap(), "20000");
    let nested = format!("{}1{}", "abs(".repeat(60), ")".repeat(60));
    assert_eq!(compute(&nested).unwrap(), "1");
}
