/*
 * A client as somebody writes it who has nothing but api/openapi.yaml: types from
 * openapi-typescript, calls by fetch. It submits a workflow with inputs, metadata and extra data,
 * waits, reads the profile and the outputs, and asks with dryRun where a workflow could run. The
 * compiler holds it against the contract, and the run holds the contract against the daemon.
 */
import type { components, paths } from './api.js';

declare const process: { argv: string[]; exitCode: number };

type Json<R> = R extends { content: { 'application/json': infer T } } ? T : never;
type Job = Json<paths['/jobs/{id}']['get']['responses'][200]>;
type Accepted = Json<paths['/jobs']['post']['responses'][202]>;
type Where = components['schemas']['Eligibility'];
type Profile = components['schemas']['JobProfileStats'];
type Outputs = Json<paths['/jobs/{id}/outputs']['get']['responses'][200]>;
type Submission = components['schemas']['Submission'];
type Problem = components['schemas']['Problem'];

const base = process.argv[2] ?? 'http://127.0.0.1:8189';

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const init: RequestInit = { method };
    if (body !== undefined) {
        init.body = JSON.stringify(body);
        init.headers = { 'Content-Type': 'application/json' };
    }
    const answer = await fetch(base + path, init);
    if (!answer.ok) {
        const problem = await answer.json() as Problem;
        throw new Error(`${method} ${path}: ${problem.code}, ${problem.detail}`);
    }
    return await answer.json() as T;
}

function check(good: boolean, what: string): void {
    console.log(`  ${good ? 'ok' : 'FAILED'} ${what}`);
    if (!good) {
        process.exitCode = 1;
    }
}

/* No member is required because it has a default, and open objects take anything. */
const least: Submission = {
    workflow: { '1': { class_type: 'EmptyImage', inputs: {} } },
};
const submission: Submission = {
    workflow: {
        '1': { class_type: 'EmptyImage', inputs: { width: 64, height: 64, color: 255, deep: [1, { a: null }] } },
        '2': { class_type: 'KSampler', inputs: { image: ['1', 0], cfg: 7.5, steps: 3, name: 'euler', tiled: true } },
        '3': {
            class_type: 'SaveImage',
            inputs: { images: ['2', 0], filename_prefix: 'contract' },
            _meta: { title: 'The result' },
        },
    },
    profile: true,
    metadata: { ticket: 4711, tags: ['a', 'b'], nested: { on: true } },
    extraData: { from: 'a generated client' },
};

/* What is wrong must not compile. */
// @ts-expect-error: a priority is a number
const wrongPriority: Submission = { ...least, priority: 'high' };
// @ts-expect-error: there is no such member
const wrongMember: Submission = { ...least, colour: 1 };
// @ts-expect-error: a job has no such member
export const wrongJob = (j: Job) => j.colour;
// @ts-expect-error: a duration is a number
export const wrongDuration = (p: Profile): string | undefined => p.nodes[0]?.duration;
void wrongPriority;
void wrongMember;

const where = await call<Where>('POST', '/jobs?dryRun=1', submission);
check(where.backends.some(b => b.eligible === true), 'dryRun says where it could run');

const accepted = await call<Accepted>('POST', '/jobs', submission);
let job = await call<Job>('GET', `/jobs/${accepted.id}?wait=30`);
while (job.state === 'queued' || job.state === 'running') {
    job = await call<Job>('GET', `/jobs/${accepted.id}?wait=30`);
}
check(job.state === 'completed', `the job is ${job.state} ${job.error?.message ?? ''}`);
check(job.metadata?.['ticket'] === 4711, 'metadata came back');

const profile = await call<Profile>('GET', `/jobs/${accepted.id}/profile`);
const spent = profile.nodes.map(n => n.duration ?? 0).reduce((a, b) => a + b, 0);
check(profile.nodes.length === 3 && spent > 0, `three nodes took ${spent.toFixed(3)} ms`);
check(profile.summary.slowestNodes[0]?.nodeId !== undefined, 'the slowest one is named');

const { outputs } = await call<Outputs>('GET', `/jobs/${accepted.id}/outputs`);
const first = outputs[0];
check(outputs.length === 1 && first?.kind === 'image' && first.nodeId === '3', 'one image');
const bytes = await (await fetch(base + (first?.url ?? ''))).arrayBuffer();
check(bytes.byteLength > 0, `of ${bytes.byteLength} bytes`);

const refused = await call<Accepted>('POST', '/jobs', { workflow: {} }).catch((e: Error) => e);
check(refused instanceof Error && refused.message.includes('workflow_invalid'), 'a refusal is a problem');
