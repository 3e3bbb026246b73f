/* One bash in which commands run one after the other, as somebody types them. */
import { spawn } from 'node:child_process';

/* What bash says about a job that was killed; a terminal shows that at some later time. */
const JOB_NOTICE = /bash: line \d+: +\d+ (Killed|Terminated) .*\n/g;

export class Session {
    #bash;
    #out = '';
    #heard = () => {};
    #count = 0;
    #ended = false;

    constructor(cwd, env) {
        this.#bash = spawn('bash', ['--norc'], { cwd, env, detached: true });
        this.#bash.stdout.setEncoding('utf8').on('data', text => this.#add(text));
        this.#bash.on('close', () => { this.#ended = true; this.#heard(); });
        this.#bash.stdin.on('error', () => {});
        this.#bash.stdin.write('exec 2>&1\n');
    }

    #add(text) {
        this.#out += text;
        this.#heard();
    }

    /** Resolves when more came, or at the time `until` (ms since the epoch). */
    #hear(until) {
        return new Promise(resolve => {
            const timer = setTimeout(resolve, Math.max(0, until - Date.now()));
            this.#heard = () => { clearTimeout(timer); resolve(); };
        });
    }

    /**
     * What the command printed once good(text) holds for it; whatever it was when the command has
     * ended, or when `limitMs` are over. What it left in the background may print later than its
     * end, so then there are two more seconds.
     */
    async run(command, good, limitMs) {
        const mark = `--- end of command ${++this.#count} ---`;
        this.#out = '';
        this.#bash.stdin.write(`${command}\nprintf '%s\\n' '${mark}'\n`);
        let until = Date.now() + limitMs;
        const text = () => this.#out.replace(`${mark}\n`, '').replace(JOB_NOTICE, '');
        for (let ended = false; Date.now() < until && !this.#ended; ) {
            if (!ended && this.#out.includes(mark)) {
                ended = true;
                until = /&(\s|$)/.test(command) ? Math.min(until, Date.now() + 2000) : 0;
            }
            if (ended && (good(text()) || until === 0)) {
                return text();
            }
            await this.#hear(until);
        }
        return this.#ended ? `${text()}\n(the shell has ended)` : text();
    }

    /** Ends bash and all that it started. */
    close() {
        try {
            process.kill(-this.#bash.pid, 'SIGKILL');
        } catch { /* all are gone */ }
    }
}
