// The package alone, for a page that has it already.
export * from 'moorline';
