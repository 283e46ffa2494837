// One Baileys client. Takes commands as lines of JSON on stdin, e.g. {"do":"connect","url":"ws://…"},
// and says as lines of JSON on stdout what happens, e.g. {"event":"qr","code":"…"}.
//
// It decides nothing: it neither reconnects by itself nor answers anybody. What Baileys logs goes
// to stderr. Run it in a folder that has `node_modules`; the account is kept there in `auth/`.

import { Console } from 'node:console';
import { createInterface } from 'node:readline';
import makeWASocket, {
	Browsers,
	downloadMediaMessage,
	extractMessageContent,
	getContentType,
	proto,
	useMultiFileAuthState
} from '@whiskeysockets/baileys';
import pino from 'pino';

// libsignal talks on stdout, which is ours alone.
globalThis.console = new Console(process.stderr, process.stderr);
const logger = pino({ level: 'debug' }, pino.destination({ dest: 2, sync: true }));

const say = event => process.stdout.write(`${JSON.stringify(event)}\n`);

/** Every message that was seen, by id: to be quoted, changed, read or downloaded. */
const seen = new Map();
let sock;

/** Files that are being written. */
const writing = new Set();
const written = promise => {
	writing.add(promise);
	return promise.finally(() => writing.delete(promise));
};

const messageCalled = id => {
	const message = seen.get(id);
	if (!message) {
		throw new Error(`no message ${id} was seen`);
	}
	return message;
};

const { DELIVERY_ACK: DELIVERED, ERROR: REFUSED, READ } = proto.WebMessageInfo.Status;

const contentOf = message => extractMessageContent(message) ?? {};

const textOf = message => {
	const content = contentOf(message);
	const part = content[getContentType(content)];
	return content.conversation ?? part?.text ?? part?.caption ?? null;
};

const quotedBy = message => {
	const content = contentOf(message);
	const context = content[getContentType(content)]?.contextInfo;
	if (!context?.stanzaId) {
		return null;
	}
	return { id: context.stanzaId, from: context.participant || null, text: textOf(context.quotedMessage) };
};

const mentionedBy = message => {
	const content = contentOf(message);
	return content[getContentType(content)]?.contextInfo?.mentionedJid ?? [];
};

const heard = ({ key, message, messageStubType, messageStubParameters, pushName }, offline) => ({
	event: 'message',
	id: key.id,
	chat: key.remoteJid,
	from: key.participant || (key.fromMe ? sock.user.id : key.remoteJid),
	own: Boolean(key.fromMe),
	offline,
	name: pushName ?? null,
	kind: message ? (getContentType(contentOf(message)) ?? null) : null,
	text: message ? textOf(message) : null,
	quoted: message ? quotedBy(message) : null,
	mentions: message ? mentionedBy(message) : [],
	// A message that could not be decrypted stands here with the reason.
	stub: messageStubType ? `${messageStubType} ${messageStubParameters ?? ''}`.trim() : null
});

/** Since when or until when something is so; null: it is not. */
const isSet = time => (time === undefined ? undefined : time !== null);

// Of somebody in a group.
const sayReceipt = (id, { userJid, readTimestamp }) => {
	say({ event: 'receipt', id, by: userJid, status: readTimestamp ? READ : DELIVERED });
};

const tellContacts = contacts => {
	for (const { id, name } of contacts) {
		say({ event: 'contact', id, name: name ?? null });
	}
};

const on = {
	'connection.update': update => {
		if (update.qr) {
			say({ event: 'qr', code: update.qr });
		}
		if (update.isNewLogin) {
			say({ event: 'paired' });
		}
		if (update.connection === 'open') {
			say({ event: 'open', jid: sock.user.id, lid: sock.user.lid ?? null });
		}
		if (update.receivedPendingNotifications) {
			say({ event: 'caught_up' });
		}
		if (update.connection === 'close') {
			const error = update.lastDisconnect?.error;
			say({ event: 'closed', status: error?.output?.statusCode ?? null, why: error?.message ?? '' });
		}
	},
	'messages.upsert': ({ messages, type }) => {
		for (const message of messages) {
			seen.set(message.key.id, message);
			say(heard(message, type === 'append'));
			// Baileys may hold a receipt back until it can tell of both at once.
			if (message.key.fromMe && (message.status >= DELIVERED || message.status === REFUSED)) {
				say({ event: 'receipt', id: message.key.id, by: message.key.remoteJid, status: message.status });
			}
			for (const receipt of message.userReceipt ?? []) {
				sayReceipt(message.key.id, receipt);
			}
		}
	},
	'messages.update': updates => {
		for (const { key, update } of updates) {
			const edited = update.message?.editedMessage?.message;
			if (edited) {
				say({ event: 'edited', id: key.id, text: textOf(edited) });
			} else if (update.message === null) {
				say({ event: 'revoked', id: key.id });
			} else if (Number.isInteger(update.status)) {
				say({ event: 'receipt', id: key.id, by: key.remoteJid, status: update.status });
			}
		}
	},
	'message-receipt.update': receipts => {
		for (const { key, receipt } of receipts) {
			sayReceipt(key.id, receipt);
		}
	},
	'messages.reaction': reactions => {
		for (const { key, reaction } of reactions) {
			say({ event: 'reaction', id: key.id, emoji: reaction.text });
		}
	},
	'presence.update': ({ id, presences }) => {
		for (const [person, { lastKnownPresence }] of Object.entries(presences)) {
			say({ event: 'presence', chat: id, person, state: lastKnownPresence });
		}
	},
	'chats.update': chats => {
		for (const { id, archived, pinned, muteEndTime } of chats) {
			const state = { archived, pinned: isSet(pinned), muted: isSet(muteEndTime) };
			// Most updates are about unread messages.
			if (Object.values(state).some(changed => changed !== undefined)) {
				say({ event: 'chat', id, ...state });
			}
		}
	},
	'contacts.upsert': tellContacts,
	// While history comes in, what is learnt of contacts comes with it.
	'messaging-history.set': ({ contacts }) => tellContacts(contacts),
	'creds.update': ({ me }) => {
		if (me?.name) {
			say({ event: 'named', name: me.name });
		}
	},
	'groups.upsert': groups => {
		for (const { id, subject } of groups) {
			say({ event: 'group', id, subject });
		}
	},
	'groups.update': groups => {
		for (const { id, subject } of groups) {
			say({ event: 'group', id, subject: subject ?? null });
		}
	},
	'group-participants.update': ({ id, action, participants }) => {
		const people = participants.map(person => person.id ?? person);
		say({ event: 'members', id, action, people });
	}
};

const send = async (to, content, options = {}) => {
	const message = await sock.sendMessage(to, content, options);
	seen.set(message.key.id, message);
	return { id: message.key.id };
};

const commands = {
	async connect({ url }) {
		const { state, saveCreds } = await useMultiFileAuthState('auth');
		sock = makeWASocket({
			waWebSocketUrl: url,
			auth: { creds: state.creds, keys: { ...state.keys, set: keys => written(state.keys.set(keys)) } },
			logger,
			browser: Browsers.ubuntu('Chrome'),
			appStateMacVerification: { patch: true, snapshot: true },
			getMessage: async key => seen.get(key.id)?.message
		});
		sock.ev.on('creds.update', () => written(saveCreds()));
		for (const [event, tell] of Object.entries(on)) {
			sock.ev.on(event, tell);
		}
	},
	async request_code({ phone }) {
		return { code: await sock.requestPairingCode(phone) };
	},
	async send({ to, text, quoted, mentions }) {
		const options = quoted ? { quoted: messageCalled(quoted) } : {};
		return send(to, { text, mentions }, options);
	},
	async send_file({ to, kind, path, ...rest }) {
		return send(to, { [kind]: { url: path }, ...rest });
	},
	async edit({ message, text }) {
		const { key } = messageCalled(message);
		return send(key.remoteJid, { text, edit: key });
	},
	async revoke({ message }) {
		const { key } = messageCalled(message);
		return send(key.remoteJid, { delete: key });
	},
	async react({ message, emoji }) {
		const { key } = messageCalled(message);
		return send(key.remoteJid, { react: { text: emoji, key } });
	},
	async read({ message }) {
		await sock.readMessages([messageCalled(message).key]);
	},
	async compose({ to }) {
		await sock.sendPresenceUpdate('composing', to);
	},
	async download({ message }) {
		const content = await downloadMediaMessage(messageCalled(message), 'buffer', {});
		return { text: content.toString('utf8') };
	},
	async create_group({ subject, people }) {
		const group = await sock.groupCreate(subject, people);
		return { id: group.id };
	},
	async groups() {
		const groups = Object.values(await sock.groupFetchAllParticipating());
		return { groups: groups.map(({ id, subject, participants }) => ({ id, subject, members: participants.length })) };
	},
	async log_out() {
		await sock.logout();
	}
};

const follow = async line => {
	const { do: name, ...argument } = JSON.parse(line);
	try {
		const command = commands[name];
		if (!command) {
			throw new Error(`no command is called ${name}`);
		}
		say({ event: 'done', of: name, ...(await command(argument)) });
	} catch (error) {
		logger.error(error);
		say({ event: 'failed', of: name, why: error.message });
	}
};

for await (const line of createInterface({ input: process.stdin })) {
	await follow(line);
}
// Whoever closes stdin wants us to go, with the account as it stands; Baileys' timers would keep
// the process alive.
sock?.end(undefined);
while (writing.size > 0) {
	await Promise.all(writing);
}
process.exit(0);
