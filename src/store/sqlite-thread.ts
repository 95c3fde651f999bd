/** The program of the thread that writes to SQLite. A commit waits for the disk; here nobody has to wait with it. */
import { parentPort } from 'node:worker_threads'
import { SqliteHandle, type SqliteResult } from './sqlite-handle.ts'
import { encodeError, type WriterAnswer, type WriterRequest } from './sqlite-messages.ts'

let handle: SqliteHandle | undefined

parentPort?.on('message', (request: WriterRequest) => parentPort?.postMessage(answerTo(request)))

function answerTo(request: WriterRequest): WriterAnswer {
  try {
    const result = carryOut(request)
    return { ...(result && { result }), isInTransaction: isInTransaction() }
  } catch (error) {
    return { error: encodeError(error), isInTransaction: isInTransaction() }
  }
}

const isInTransaction = () => handle?.isInTransaction() ?? false

function carryOut(request: WriterRequest): SqliteResult | undefined {
  switch (request.do) {
    case 'open':
      handle = new SqliteHandle(request.path)
      return undefined
    case 'run':
      return handle?.run(request.sql, request.parameters)
    case 'exec':
      handle?.exec(request.text)
      return undefined
    case 'close':
      handle?.close()
      handle = undefined
      return undefined
  }
}
