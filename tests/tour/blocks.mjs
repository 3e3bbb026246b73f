/*
 * The commands of a Markdown file: in its indented blocks, lines that begin with "$ ". What stands
 * below a command, up to the next one or the block's end, is what it prints.
 */

/** [{line (from 1), command, printed: [{line, text}]}], in the file's order. */
export function readCommands(markdown) {
    const found = [];
    let indent = '';
    let open = null; /* the command whose output is read */
    let blank = true; /* a block begins behind a blank line */
    markdown.split('\n').forEach((text, i) => {
        const start = /^( {4,})\$ (.*)$/.exec(text);
        if (start && (open ? start[1] === indent : blank)) {
            indent = start[1];
            open = { line: i + 1, command: start[2], printed: [] };
            found.push(open);
        } else if (open && text.startsWith(indent)) {
            open.printed.push({ line: i + 1, text: text.slice(indent.length) });
        } else if (text.trim() !== '') {
            open = null;
        }
        blank = text.trim() === '' || (blank && open !== null);
    });
    return found;
}
