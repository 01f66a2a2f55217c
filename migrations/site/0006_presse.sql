-- presse@: journalists who asked for it. They are no members, so this list is kept
-- by hand; they write to each other, and the newsroom's address is one of them.
insert into lists.manual (list, email, name) values
    ('presse', 'redaction@gazette.example', 'La Gazette'),
    ('presse', 'sports@radio-ouest.example', 'Radio Ouest'),
    ('presse', 'agenda@journal.example', 'Le Journal');

select lists.expect('presse', people => int4range(1, 200));
