/* The comparison itself: what it lets pass, and what it must not. */
import { readCommands } from './blocks.mjs';
import { compareOutput } from './shape.mjs';

const ID = '01a20507-464e-7a25-9f28-2cab747fc3a2';
const CASES = [
    /* good, printed, came */
    [true, '{"a":1,"b":"one","c":[]}', '{"b":"two","a":2.5,"c":[]}'],
    [true, '{"a":1,...}', '{"a":1,"b":{"c":null}}'],
    [true, '{"id":"01a20507-464e-7a25-9f28-2cab747fc3a3",\n "x":{...}}', `{"id":"${ID}","x":{"y":1}}`],
    [true, '[{"a":1},...]', '[{"a":1},{"b":2}]'],
    [true, '{"h":"5076e1..."}', '{"h":"5076e1ef9a01"}'],
    [true, 'HTTP/1.1 200 OK\n...\n\n{"a":true}', 'HTTP/1.1 200 OK\r\nX: y\r\n\r\n{"a":true}'],
    [true, 'Total  187.056 ms  |██    |', 'Total 3.1 ms |  ▐▌  |'],
    [true, 'a\n...\nc', 'a\nc'],
    [true, 'event: e\ndata: {"a":1}\n...', 'event: e\ndata: {"a":5}\n\nevent: f'],
    [true, '', '\n'],
    [false, '{"a":1}', '{"a":1,"b":2}'],
    [false, '{"a":1,...}', '{"b":2}'],
    [false, '{"a":1}', '{"a":"1"}'],
    [false, '{"a":1}', '{"a":null}'],
    [false, '{"a":[{"b":1}]}', '{"a":{"b":1}}'],
    [false, '{"state":"completed"}', '{"state":"failed"}'],
    [false, '[1,2]', '[1]'],
    [false, '[{"a":1},...]', '[{"b":1}]'],
    [false, `{"id":"${ID}"}`, '{"id":"job"}'],
    [true, 'HTTP/1.1 200 OK\nB: 1\nA: 2\n...\n{}', 'HTTP/1.1 200 OK\nA: 3\nC: 4\nB: 5\n\n{}'],
    [false, 'HTTP/1.1 200 OK', 'HTTP/1.1 200 OK\nX: y'],
    [false, 'HTTP/1.1 200 OK\nB: 1\n...\n{}', 'HTTP/1.1 200 OK\nA: 3\n\n{}'],
    [false, 'HTTP/1.1 200 OK\n...', 'HTTP/1.1 404 Not Found\nA: 3\n\n'],
    [false, 'a\n...\nc', 'a\nb'],
    [false, 'Total  187.056 ms', 'Whole 187.056 ms'],
    [false, '{"a":1}', ''],
    [false, '', '{"a":1}'],
    [false, '{"a":1}', 'curl: (7) Failed to connect'],
];

/** null, or what is wrong with the comparison. */
export function testComparison() {
    for (const [good, printed, came] of CASES) {
        const lines = printed.split('\n').map((text, i) => ({ line: i + 1, text }));
        const problem = compareOutput(lines, came, 1);
        if ((problem === null) !== good) {
            return `${JSON.stringify(printed)} and ${JSON.stringify(came)} should ${good ? '' : 'not '}agree`;
        }
    }
    const found = readCommands('Text\n\n    $ a\n    b\n\n    c\n    $ d\n\nText $ e\n\n    f\n    $ g\n\n      $ h\n');
    const got = found.map(c => `${c.line} ${c.command}: ${c.printed.map(p => p.text).filter(Boolean)}`).join('; ');
    return got === '3 a: b,c; 7 d: ; 14 h: ' ? null : `other commands: ${got}`;
}
