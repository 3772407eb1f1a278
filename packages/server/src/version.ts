/** The version of the server; the same in all packages of the project. */
export const version = '0.1.0'
