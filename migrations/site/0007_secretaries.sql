-- Who mends an address that comes back: the secretary of the member's club, who gets one
-- letter a week about all of them. A column can only be added at the end of a view.
create view club.secretary as
select distinct on (r.club_id) r.club_id, m.email
  from club.role_held r
  join club.member m on m.id = r.member_id
 where r.club_id is not null and r.role = 'secretaire' and r.until is null and m.active
 order by r.club_id, r.since, r.id;

create or replace view lists.club as
select c.number, m.email, m.full_name as name, m.lang, m.id::text as person,
       s.email as secretary
  from club.licence l
  join club.club c on c.id = l.club_id
  join club.member m on m.id = l.member_id
  left join club.secretary s on s.club_id = c.id
 where m.active and l.season = club.season();
