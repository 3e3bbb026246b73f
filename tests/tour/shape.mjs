/*
 * Whether what came has the shape of what is printed.
 *
 * Printed text is a list of lines and of JSON values (which may be broken over lines). "..." stands
 * for anything: alone on a line for lines, in a JSON value for members or elements that are left
 * out, in a string or line for a part of it. Numbers, times, ids, hashes and the names of the two
 * servers may differ; all other words and the types of all values may not. Blank lines and the
 * width of columns do not count.
 */

const REST = { rest: true }; /* a "..." in a JSON value */

/* ---- words --------------------------------------------------------------------------------- */

const PLACEHOLDERS = [
    [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, '<id>'],
    [/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, '<time>'],
    [/\b[0-9a-f]{12,}\b/g, '<hash>'],
    [/(?<![\w/+-])[\w/+-]{40,}=*/g, '<secret>'],
    [/\|[ \u2580-\u259f]*\|/g, '|<bar>|'],
    [/(?<=\bbackends?\/|^|[\s:])(one|two)(?=$|[\s/,])/g, '<backend>'],
    [/[+-]?\d+(\.\d+)?( ?(B|KiB|MiB|GiB|%)(?!\w))?/g, '<n>'],
    [/(?<=\s)-(?=\s)/g, '<n>'], /* a number that is not known */
    [/\b(after|before) (the start|the end|<n>)/g, '$1 <node>'],
    [/\bsamples?\b/g, 'samples'],
];

export function normalise(text) {
    let out = text;
    for (const [pattern, name] of PLACEHOLDERS) {
        out = out.replace(pattern, name);
    }
    return out.replace(/\s+/g, ' ').trim();
}

/** Whether two texts have the same words; "..." in the printed one is any text. */
function sameText(printed, came) {
    const parts = printed.replace(/\b[0-9a-f]{6,}\.\.\./g, '<hash>').split('...').map(normalise);
    const whole = normalise(came);
    if (parts.length === 1) {
        return parts[0] === whole;
    }
    let at = 0;
    for (const [i, part] of parts.entries()) {
        const found = i === parts.length - 1 ? whole.length - part.length : whole.indexOf(part, at);
        if (found < at || (i === 0 && found !== 0) || !whole.startsWith(part, found)) {
            return false;
        }
        at = found + part.length;
    }
    return true;
}

/* ---- JSON as it is printed ----------------------------------------------------------------- */

const TOKEN = /\s*(\.\.\.|"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[{}[\],:])/y;

/** Reads one value from text. Returns {value, end}; throws where it is none. */
export function readPattern(text) {
    TOKEN.lastIndex = 0;
    let token = null;
    const next = () => {
        const match = TOKEN.exec(text);
        if (!match) {
            throw new Error('not JSON');
        }
        token = match[1];
    };
    const list = (close, item) => {
        const items = [];
        for (next(); token !== close; ) {
            items.push(token === '...' ? REST : item());
            next();
            if (token === ',') {
                next();
            } else if (token !== close) {
                throw new Error(`${token} for , or ${close}`);
            }
        }
        return items;
    };
    const member = () => {
        const key = JSON.parse(token);
        next();
        if (token !== ':') {
            throw new Error(`no value for ${key}`);
        }
        next();
        return [key, value()];
    };
    const value = () => {
        switch (token) {
        case '{': return { object: list('}', member) };
        case '[': return { array: list(']', value) };
        case '...': return REST;
        default: return { scalar: JSON.parse(token) };
        }
    };
    next();
    const result = value();
    return { value: result, end: TOKEN.lastIndex };
}

const kindOf = v => v === null ? 'null' : Array.isArray(v) ? 'array' : typeof v;

/** null, or where and how the value differs from the pattern. */
export function compareJson(pattern, came, path = '') {
    const at = path || 'the whole';
    if (pattern === REST) {
        return null;
    }
    if (pattern.object) {
        return kindOf(came) === 'object' ? compareMembers(pattern.object, came, path)
            : `${at}: an object is printed, ${kindOf(came)} came`;
    }
    if (pattern.array) {
        return kindOf(came) === 'array' ? compareElements(pattern.array, came, path)
            : `${at}: an array is printed, ${kindOf(came)} came`;
    }
    const wanted = pattern.scalar;
    if (kindOf(wanted) !== kindOf(came)) {
        return `${at}: ${kindOf(wanted)} is printed, ${kindOf(came)} came (${JSON.stringify(came)})`;
    }
    const same = kindOf(wanted) === 'string' ? sameText(wanted, came)
        : kindOf(wanted) === 'number' || wanted === came;
    return same ? null : `${at}: ${JSON.stringify(wanted)} is printed, ${JSON.stringify(came)} came`;
}

function compareMembers(members, came, path) {
    const open = members.includes(REST);
    const printed = new Map(members.filter(m => m !== REST));
    for (const [key, value] of printed) {
        if (!Object.hasOwn(came, key)) {
            return `${path}/${key} is printed and did not come`;
        }
        const problem = compareJson(value, came[key], `${path}/${key}`);
        if (problem) {
            return problem;
        }
    }
    const more = Object.keys(came).find(key => !printed.has(key));
    return more === undefined || open ? null : `${path}/${more} came and is not printed`;
}

function compareElements(elements, came, path) {
    const problems = new Map(); /* of each printed element, with the first that came in its place */
    const same = (want, value, i) => {
        const problem = compareJson(want, value, `${path}/${i}`);
        if (problem && !problems.has(want)) {
            problems.set(want, problem);
        }
        return problem === null;
    };
    const missed = findMissed(elements, came, REST, same);
    return missed === -1 ? null : problems.get(elements[missed]) ??
        `${path || 'the whole'}: ${elements.length} elements are printed, ${came.length} came`;
}

/**
 * -1 when `came` is `wanted`, in which each `any` stands for as many as there are; else the first of
 * `wanted` that nothing matches, or its length when more came.
 */
function findMissed(wanted, came, any, same) {
    let reach = new Set([0]); /* how many of `came` may have been taken */
    for (const [k, want] of wanted.entries()) {
        const now = new Set();
        if (want === any) {
            for (let i = Math.min(...reach); i <= came.length; i++) {
                now.add(i);
            }
        } else {
            reach.forEach(i => i < came.length && same(want, came[i], i) && now.add(i + 1));
        }
        if (now.size === 0) {
            return k;
        }
        reach = now;
    }
    return reach.has(came.length) ? -1 : wanted.length;
}

/* ---- a whole output ------------------------------------------------------------------------ */

const ANY_LINES = { line: 0 };
const OTHER = 'no such line came';
const JSON_START = /^(data: )?(?=[{[])/;

/** The items of what is printed: {line, text} or {line, prefix, json}, or ANY_LINES. */
function readPrinted(printed) {
    const items = [];
    for (let i = 0; i < printed.length; i++) {
        const { line, text } = printed[i];
        const start = JSON_START.exec(text);
        if (text.trim() === '...') {
            items.push(ANY_LINES);
        } else if (start) {
            const prefix = start[1] ?? '';
            const rest = printed.slice(i).map(p => p.text).join('\n').slice(prefix.length);
            const { value, end } = readPattern(rest);
            i += rest.slice(0, end).split('\n').length - 1;
            items.push({ line, prefix, json: value });
        } else if (text.trim() !== '') {
            items.push({ line, text });
        }
    }
    return items;
}

function compareItem(item, text) {
    if (item.json === undefined) {
        return sameText(item.text, text) ? null : OTHER;
    }
    try {
        return text.startsWith(item.prefix)
            ? compareJson(item.json, JSON.parse(text.slice(item.prefix.length))) : OTHER;
    } catch {
        return OTHER; /* no JSON */
    }
}

/**
 * The lines that came, with those of an HTTP head in the printed order, which is none of its shape.
 * Where "..." follows the printed ones, all others are left out.
 */
function sortHead(items, lines) {
    if (!/^HTTP\//.test(items[0]?.text ?? '') || !/^HTTP\//.test(lines[0] ?? '')) {
        return lines;
    }
    const nameOf = text => text.slice(0, text.search(/[ :]/));
    const heads = lines.findIndex(l => l.trim() === '');
    const came = lines.slice(0, heads < 0 ? lines.length : heads);
    const printed = [];
    while (items[printed.length]?.text !== undefined) {
        printed.push(items[printed.length]);
    }
    const open = items[printed.length] === ANY_LINES;
    const named = new Set(printed.map(p => nameOf(p.text)));
    const sorted = printed.map(p => came.find(c => nameOf(c) === nameOf(p.text))).filter(c => c !== undefined);
    const more = open ? [] : came.filter(c => !named.has(nameOf(c)));
    return [...sorted, ...more, ...lines.slice(came.length)];
}

/**
 * null when `came` (text) has the shape of `printed` ([{line, text}]), else {line, problem}: the
 * printed line that nothing matched, and why.
 */
export function compareOutput(printed, came, line) {
    let items;
    try {
        items = readPrinted(printed);
    } catch (e) {
        return { line: printed[0].line, problem: `what is printed cannot be read: ${e.message}` };
    }
    const lines = sortHead(items, came.split('\n')).filter(l => l.trim() !== '');
    const problems = new Map(); /* of each item; what differs in a JSON value says most */
    const same = (item, text) => {
        const problem = compareItem(item, text);
        if (problem && (!problems.has(item) || problem !== OTHER)) {
            problems.set(item, problem);
        }
        return problem === null;
    };
    const missed = findMissed(items, lines, ANY_LINES, same);
    if (missed === -1) {
        return null;
    }
    const item = items[missed];
    return item ? { line: item.line, problem: problems.get(item) ?? 'nothing came for this' }
        : { line: items.at(-1)?.line || line, problem: 'more came than is printed' };
}
