/*
 * Runs the commands that Markdown files show, those of one file in their order in one shell, and
 * compares the shape of what they print with what stands below them. node tour.mjs BUILD [FILE...]
 * from the project's root; scripts/tour says what it is for.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { readCommands } from './blocks.mjs';
import { Session } from './session.mjs';
import { compareOutput } from './shape.mjs';
import { testComparison } from './shape_test.mjs';

const [build, ...named] = process.argv.slice(2);
const PAGES = ['README.md', 'docs/tutorial.md', 'docs/operations.md', 'CONTRIBUTING.md'];
const LIMIT_MS = 120_000; /* of one command */
/* Ports that a file names; each becomes one that is free here, and is shown as itself. */
const PORTS = [8188, 8288, 8189, 8090];
const DAEMON = 8189; /* where it listens when nothing says otherwise */

function freePorts(n) {
    const servers = Array.from({ length: n }, () => createServer());
    return Promise.all(servers.map(s => new Promise((resolve, reject) => {
        s.on('error', reject).listen(0, '127.0.0.1', () => resolve(s.address().port));
    }))).then(async ports => {
        await Promise.all(servers.map(s => new Promise(resolve => s.close(resolve))));
        return ports;
    });
}

function environment(scratch, port) {
    const env = { ...process.env, TMPDIR: scratch, HOME: scratch, BUILD: dirname(build) };
    for (const name of Object.keys(env)) {
        if (/^(COMFYPOOLD_|MAKE|MFLAGS|XDG_)/.test(name)) {
            delete env[name];
        }
    }
    env.COMFYPOOLD_LISTEN = `127.0.0.1:${port}`;
    env.PATH = resolve(build) + delimiter + env.PATH; /* as if it were installed */
    return env;
}

/** The text with each number of `from` that stands alone replaced by that of `to`. */
function rewrite(text, from, to) {
    return text.replace(/(?<=127\.0\.0\.1:|--port |\bport )\d+\b/g, port => {
        const i = from.indexOf(Number(port));
        return i < 0 ? port : String(to[i]);
    });
}

/** Types a command; null, or what differs. shown: the text as it stands in the file. */
async function check(session, { line, command, printed }, name, typed = t => t, shown = t => t) {
    const compare = text => compareOutput(printed, shown(text.replaceAll('\r', '')), line);
    const came = await session.run(typed(command), text => compare(text) === null, LIMIT_MS);
    const difference = compare(came);
    return difference && [`${name}:${difference.line}: ${difference.problem}`,
        '--- printed:', ...printed.map(p => p.text), '--- came:', shown(came)].join('\n');
}

/* What is right here passes, what is wrong (its command says so) must not. */
const SELF_TEST = `
    $ x=5
    $ echo $x
    7
    $ ended=$(mktemp -u); mkfifo $ended
    $ end() { builtin printf "$@"; unset -f printf; : >$ended; } # what is typed behind a command
    $ printf() { end "$@"; }; (read -r _ <$ended; rm $ended; echo '{"late":1.5}') & # not waited for
    {"late":2}
    $ echo '{"a":1,"b":[]}' # wrong
    {"a":1}
    $ echo '{"a":"1"}' # wrong
    {"a":1}
    $ echo more # wrong
    $ no-such-command # wrong
    {"a":1}
    $ kill -9 $BASHPID # wrong
`;

async function testItself(session) {
    for (const typed of readCommands(SELF_TEST)) {
        const problem = await check(session, typed, 'self-test');
        if ((problem === null) === typed.command.endsWith('# wrong')) {
            return problem ?? `self-test: passed: ${typed.command}`;
        }
    }
    return null;
}

/* Types what a file shows, in a shell and with ports of its own. say: (name, problem or null). */
async function runFile(file, say) {
    const commands = readCommands(readFileSync(file, 'utf8'));
    if (commands.length === 0) {
        say(file, 'it shows no command');
        return;
    }
    const ports = await freePorts(PORTS.length);
    const scratch = mkdtempSync(join(tmpdir(), 'comfypoold-tour.'));
    const session = new Session(process.cwd(), environment(scratch, ports[PORTS.indexOf(DAEMON)]));
    const end = () => {
        session.close();
        rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
    };
    const stop = () => { end(); process.exit(130); };
    process.on('SIGINT', stop).on('SIGTERM', stop);
    const typed = text => rewrite(text, PORTS, ports).replaceAll('build/release', build);
    const shown = text => rewrite(text, ports, PORTS);
    for (const one of commands) {
        say(`${file}:${one.line}: ${one.command.slice(0, 100)}`,
            await check(session, one, file, typed, shown));
    }
    process.off('SIGINT', stop).off('SIGTERM', stop);
    end();
}

async function main() {
    let passed = 0;
    let failed = 0;
    const say = (name, problem) => {
        console.log(problem === null ? `  ${name}` : `  ${name}: FAILED\n${problem}`);
        problem === null ? passed++ : failed++;
    };
    say('the comparison itself', testComparison());
    const trial = new Session(process.cwd(), process.env);
    say('this script itself', await testItself(trial));
    trial.close();
    for (const file of named.length > 0 ? named : PAGES) {
        await runFile(file, say);
    }
    console.log(`${passed} checks passed, ${failed} failed`);
    process.exit(failed === 0 ? 0 : 1);
}

await main();
